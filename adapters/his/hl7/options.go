package hl7

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// Client is a HIS system that may send. What is given must hold: at least a key or networks.
type Client struct {
	System       string              // name, for the journal and the log
	KeyDigest    [32]byte            // Options.Digest of what MSH-8 must hold; zero: MSH-8 is not looked at
	Networks     []netip.Prefix      // addresses it sends from; none: any
	App          string              // MSH-3 must be this; "": any
	Facility     string              // MSH-4
	Institutions []ident.Institution // those it may act for
}

// Options is what a Server needs. Fields without a default are required.
type Options struct {
	Desk    gateway.Desk
	Mapper  gateway.Mapper // of notation "hl7"
	Clients []Client
	Digest  func([]byte) [32]byte // SM3
	Clock   gateway.Clock
	Log     *slog.Logger // default: nowhere. Content of messages is never logged.

	Charset        string        // of messages whose MSH-18 says nothing; default: UTF-8 when valid, else GB18030
	MaxFrame       int           // longest frame in bytes; default 8 MiB
	MaxConnections int           // default 256; one more is closed at once
	MaxConcurrent  int           // messages being worked on at once; default 128. The others wait unread.
	FrameTime      time.Duration // from a frame's first byte to its last; default 30 s
	Idle           time.Duration // without a frame; default 15 min
	Drain          time.Duration // for messages in work when the server is to stop; default 30 s
}

func (o *Options) check() error {
	switch {
	case o.Desk == nil, o.Mapper == nil, o.Clock == nil, o.Digest == nil:
		return errors.New("hl7: desk, mapper, clock and digest are required")
	case len(o.Clients) == 0:
		return errors.New("hl7: no clients: nobody could send")
	case o.MaxFrame < 0 || o.MaxConnections < 0 || o.MaxConcurrent < 0 || o.FrameTime < 0 || o.Idle < 0 || o.Drain < 0:
		return errors.New("hl7: a limit is negative")
	case o.Charset != "":
		if _, ok := charsets[nameOf(o.Charset)]; !ok {
			return fmt.Errorf("hl7: charset %q is not known", o.Charset)
		}
	}
	empty := o.Digest(nil)
	for _, c := range o.Clients {
		switch {
		case c.System == "" || len(c.Institutions) == 0:
			return fmt.Errorf("hl7: client %q needs a name and institutions", c.System)
		case c.KeyDigest == empty || c.KeyDigest == [32]byte{} && len(c.Networks) == 0:
			return fmt.Errorf("hl7: client %q needs a key or networks: anybody could send in its name", c.System)
		}
	}
	for _, x := range []struct {
		v   *int
		def int
	}{{&o.MaxFrame, 8 << 20}, {&o.MaxConnections, 256}, {&o.MaxConcurrent, 128}} {
		if *x.v == 0 {
			*x.v = x.def
		}
	}
	for _, x := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&o.FrameTime, 30 * time.Second}, {&o.Idle, 15 * time.Minute}, {&o.Drain, 30 * time.Second}} {
		if *x.v == 0 {
			*x.v = x.def
		}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// caller finds who sent a message. Every client is looked at; keys are compared in constant time.
func (o *Options) caller(m *Message, from net.Addr) (gateway.Caller, error) {
	key := m.Header(8, 1)
	digest := o.Digest([]byte(key))
	found, keyed := -1, false
	for i := range o.Clients {
		c := &o.Clients[i]
		fits := c.sends(m, from)
		if c.KeyDigest != [32]byte{} {
			keyed = keyed || fits
			fits = subtle.ConstantTimeCompare(digest[:], c.KeyDigest[:]) == 1 && fits
		}
		if fits && found < 0 {
			found = i
		}
	}
	switch {
	case found >= 0:
		c := o.Clients[found]
		return gateway.Caller{System: c.System, Institutions: c.Institutions}, nil
	case key == "" && keyed:
		return gateway.Caller{}, &gateway.Error{Code: gateway.CodeKeyMissing, Op: "hl7", Detail: "MSH-8"}
	}
	return gateway.Caller{}, &gateway.Error{Code: gateway.CodeKeyWrong, Op: "hl7", Detail: "MSH-8, MSH-3, MSH-4"}
}

func (c *Client) sends(m *Message, from net.Addr) bool {
	if c.App != "" && c.App != m.Header(3, 1) || c.Facility != "" && c.Facility != m.Header(4, 1) {
		return false
	}
	if len(c.Networks) == 0 {
		return true
	}
	tcp, ok := from.(*net.TCPAddr)
	if !ok {
		return false
	}
	ip := tcp.AddrPort().Addr().Unmap()
	for _, n := range c.Networks {
		if n.Contains(ip) {
			return true
		}
	}
	return false
}
