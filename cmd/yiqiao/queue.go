package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"yiqiao/gateway"
	"yiqiao/gateway/config"
	"yiqiao/gateway/queue/embedded"
	"yiqiao/gateway/queue/kafka"
)

// queueSettings say how queued uploads get to those who send them.
type queueSettings struct {
	Kind    string        `yaml:"kind"`    // embedded (default) or kafka
	Workers int           `yaml:"workers"` // uploads under way at once; default 16
	Kafka   kafkaSettings `yaml:"kafka"`
}

type kafkaSettings struct {
	Brokers    []string          `yaml:"brokers"`
	Topic      string            `yaml:"topic"`
	Group      string            `yaml:"group"` // gateways of one group share the work
	Partitions int               `yaml:"partitions"`
	Replicas   int               `yaml:"replicas"`
	Retry      []config.Duration `yaml:"retry"`
	TLS        bool              `yaml:"tls"`
	TLSCA      string            `yaml:"tls_ca"`    // certificates to trust; default those of the system
	Mechanism  string            `yaml:"mechanism"` // plain, scram-sha-256, scram-sha-512
	User       string            `yaml:"user"`
	Password   config.Secret     `yaml:"password"`
}

// checkQueue finds mistakes in the settings, without reaching for a broker.
func (s *gatewaySettings) checkQueue() error {
	switch s.Queue.Kind {
	case "", "embedded":
		if len(s.Queue.Kafka.Brokers) > 0 {
			return errors.New("queue.kafka is given, but queue.kind is not kafka")
		}
		return nil
	case "kafka":
		o, err := s.kafkaOptions()
		if err == nil {
			err = o.Check()
		}
		if err != nil {
			return fmt.Errorf("queue.kafka: %w", err)
		}
		return nil
	}
	return fmt.Errorf("queue.kind is %q, want embedded or kafka", s.Queue.Kind)
}

func (s *gatewaySettings) kafkaOptions() (kafka.Options, error) {
	k := s.Queue.Kafka
	o := kafka.Options{
		Brokers: k.Brokers, Topic: k.Topic, Group: k.Group, Partitions: k.Partitions, Replicas: k.Replicas,
		Workers: s.Queue.Workers, Mechanism: k.Mechanism, User: k.User,
	}
	for _, d := range k.Retry {
		o.Tiers = append(o.Tiers, time.Duration(d))
	}
	var err error
	if k.Password.Set() {
		if o.Password, err = s.places().text(k.Password); err != nil {
			return o, fmt.Errorf("password: %w", err)
		}
	}
	if !k.TLS {
		if k.TLSCA != "" {
			return o, errors.New("tls_ca is given, but tls is off")
		}
		return o, nil
	}
	o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if k.TLSCA == "" {
		return o, nil
	}
	pem, err := os.ReadFile(s.path(k.TLSCA))
	if err != nil {
		return o, fmt.Errorf("tls_ca: %w", err)
	}
	o.TLS.RootCAs = x509.NewCertPool()
	if !o.TLS.RootCAs.AppendCertsFromPEM(pem) {
		return o, fmt.Errorf("tls_ca: no certificate in %s", k.TLSCA)
	}
	return o, nil
}

// openQueue makes the queue. It starts nothing and reaches for no broker.
func (s *gatewaySettings) openQueue(clock gateway.Clock, log *slog.Logger) (gateway.Queue, error) {
	if err := s.checkQueue(); err != nil {
		return nil, err
	}
	if s.Queue.Kind != "kafka" {
		return embedded.New(embedded.Options{Clock: clock, Workers: s.Queue.Workers, Log: log})
	}
	o, err := s.kafkaOptions()
	if err != nil {
		return nil, err
	}
	o.Clock, o.Log = clock, log
	return kafka.New(o)
}
