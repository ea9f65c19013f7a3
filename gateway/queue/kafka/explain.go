package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	kafkago "github.com/segmentio/kafka-go"
)

// explain puts an error of the broker into words an operator can act on. Some errors of the
// library say nothing: a wrong password is "unexpected EOF" there.
func (o *Options) explain(err error) string {
	var many kafkago.WriteErrors
	if errors.As(err, &many) {
		for _, e := range many {
			if e != nil {
				return o.explain(e)
			}
		}
	}
	brokers := strings.Join(o.Brokers, ", ")
	var unknown x509.UnknownAuthorityError
	var hostname x509.HostnameError
	var invalid x509.CertificateInvalidError
	var dns *net.DNSError
	switch {
	case errors.As(err, &unknown):
		return "the broker's certificate is signed by nobody we trust: check queue.kafka.tls_ca"
	case errors.As(err, &hostname):
		return "the broker's certificate is for another name: " + hostname.Error()
	case errors.As(err, &invalid):
		return "the broker's certificate is not valid: " + invalid.Error()
	case errors.As(err, &dns):
		return "the name of the broker is not known here: " + dns.Name
	case errors.Is(err, kafkago.SASLAuthenticationFailed), errors.Is(err, kafkago.UnsupportedSASLMechanism):
		return "the broker refuses the sign-in: user, password or mechanism is wrong"
	case o.Mechanism != "" && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return "the broker hung up while signing in: most likely user, password or mechanism is wrong"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return "the broker hung up: it is stopping, or it wants TLS or a sign-in (" + brokers + ")"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no broker listens at " + brokers
	case errors.Is(err, context.DeadlineExceeded), isTimeout(err):
		return "the broker does not answer in time (" + brokers + ")"
	case errors.Is(err, kafkago.NotEnoughReplicas), errors.Is(err, kafkago.NotEnoughReplicasAfterAppend):
		return "too few brokers are alive to keep a message safe"
	case errors.Is(err, kafkago.TopicAuthorizationFailed), errors.Is(err, kafkago.GroupAuthorizationFailed),
		errors.Is(err, kafkago.ClusterAuthorizationFailed):
		return fmt.Sprintf("the broker does not allow user %q what is needed: topics %s*, group %s*", o.User, o.Topic, o.Group)
	case errors.Is(err, kafkago.InvalidReplicationFactor):
		return "there are fewer brokers than queue.kafka.replicas asks for"
	case errors.Is(err, kafkago.UnknownTopicOrPartition):
		return "a topic is missing and could not be made"
	}
	return err.Error()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}
