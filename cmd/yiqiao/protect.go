package main

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/centre"
	"yiqiao/gateway/config"
)

// endpointSettings say how messages are protected; both ends of a line need them.
type endpointSettings struct {
	Envelope    string        `yaml:"envelope"` // none, mpc, epc
	AppID       string        `yaml:"app_id"`
	AppSecret   config.Secret `yaml:"app_secret"`
	PrivateKey  config.Secret `yaml:"private_key"`
	PeerKeys    []peerKey     `yaml:"peer_keys"` // newest first
	UserID      string        `yaml:"user_id"`
	EnvelopeVer string        `yaml:"envelope_version"`
	TransType   string        `yaml:"trans_type"`
	TypeNames   string        `yaml:"type_names"` // upper or lower case of SM4 and SM2 in the message

	Transport string `yaml:"transport"` // plain, tif, csb, oauth-cainfo

	PaasID       string        `yaml:"paas_id"` // tif
	Token        config.Secret `yaml:"token"`
	UpperCaseHex bool          `yaml:"upper_case_hex"`

	APIName    string        `yaml:"api_name"` // csb
	APIVersion string        `yaml:"api_version"`
	AccessKey  config.Secret `yaml:"access_key"`
	SecretKey  config.Secret `yaml:"secret_key"`

	ClientID     config.Secret `yaml:"client_id"` // oauth-cainfo; a secret because it is the SM4 key
	ClientSecret config.Secret `yaml:"client_secret"`
	TokenURL     string        `yaml:"token_url"` // not at the centre's end
	Username     string        `yaml:"username"`
	Password     config.Secret `yaml:"password"`
	Scope        string        `yaml:"scope"`
	GrantType    string        `yaml:"grant_type"`
}

// peerKey is a public key of the other side: its place alone, or with the time it is good for.
//
//	peer_keys:
//	  - key: file:keys/centre-2027.pub
//	    from: 2026-12-25T00:00:00+08:00
//	  - {key: file:keys/centre-2026.pub, until: 2027-01-08T00:00:00+08:00}
type peerKey struct {
	Key    config.Secret
	Window envelope.Window
}

// UnmarshalYAML implements yaml.Unmarshaler.
func (k *peerKey) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		k.Key = config.Secret(n.Value)
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: a key is file:PATH, or key with from and until", n.Line)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		name, value := n.Content[i].Value, n.Content[i+1]
		var to *time.Time
		switch name {
		case "key":
			k.Key = config.Secret(value.Value)
			continue
		case "from":
			to = &k.Window.From
		case "until":
			to = &k.Window.Until
		default:
			return fmt.Errorf("line %d: field %s not found in type peerKey", n.Content[i].Line, name)
		}
		at, err := time.Parse(time.RFC3339, value.Value)
		if err != nil || value.Kind != yaml.ScalarNode {
			return fmt.Errorf("line %d: %s must be a time such as 2026-12-25T00:00:00+08:00", value.Line, name)
		}
		*to = at
	}
	return nil
}

// names gives envelope and transport with their defaults.
func (e endpointSettings) names() (envelopeName, transport string) {
	envelopeName, transport = e.Envelope, e.Transport
	if envelopeName == "" {
		envelopeName = "none"
	}
	if transport == "" {
		transport = "plain"
	}
	return envelopeName, transport
}

// strays lists settings that mean nothing with the chosen envelope and transport: most likely the
// choice is not what somebody thinks it is.
func (e endpointSettings) strays() error {
	envelopeName, transport := e.names()
	sealed := envelopeName != "none"
	var list []string
	stray := func(belongs bool, given map[string]bool) {
		for _, name := range []string{"app_id", "app_secret", "envelope_version", "trans_type", "type_names", "private_key", "peer_keys", "user_id",
			"paas_id", "token", "upper_case_hex", "api_name", "api_version", "access_key", "secret_key",
			"client_id", "client_secret", "token_url", "username", "password", "scope", "grant_type"} {
			if given[name] && !belongs {
				list = append(list, name)
			}
		}
	}
	stray(sealed, map[string]bool{"app_id": e.AppID != "", "app_secret": e.AppSecret.Set(), "envelope_version": e.EnvelopeVer != "",
		"trans_type": e.TransType != "", "type_names": e.TypeNames != ""})
	stray(sealed || transport == "oauth-cainfo", map[string]bool{"private_key": e.PrivateKey.Set(), "peer_keys": len(e.PeerKeys) > 0, "user_id": e.UserID != ""})
	stray(transport == "tif", map[string]bool{"paas_id": e.PaasID != "", "token": e.Token.Set(), "upper_case_hex": e.UpperCaseHex})
	stray(transport == "csb", map[string]bool{"api_name": e.APIName != "", "api_version": e.APIVersion != "", "access_key": e.AccessKey.Set(), "secret_key": e.SecretKey.Set()})
	stray(transport == "oauth-cainfo", map[string]bool{"client_id": e.ClientID.Set(), "client_secret": e.ClientSecret.Set(), "token_url": e.TokenURL != "",
		"username": e.Username != "", "password": e.Password.Set(), "scope": e.Scope != "", "grant_type": e.GrantType != ""})
	if len(list) > 0 {
		return fmt.Errorf("%s: no meaning with envelope %s and transport %s", strings.Join(list, ", "), envelopeName, transport)
	}
	return nil
}

// lineEnds is what the transport oauth-cainfo needs from the end it is built for.
type lineEnds struct {
	now    func() time.Time
	bearer func() (string, error)
	accept func(string, time.Time) bool
}

// protect builds both parts of a line's protection: the envelope around bodies and the headers.
// Combinations nobody knows are refused, and settings that belong to another.
func (e endpointSettings) protect(p sm.Provider, sec *secrets, ends lineEnds) (envelope.Profile, envelope.Transport, error) {
	envelopeName, kind := e.names()
	name, err := envelope.Compose(envelopeName, kind)
	if err != nil {
		return nil, nil, err
	}
	if err := e.strays(); err != nil {
		return nil, nil, err
	}
	party, err := e.party(p, sec, name, ends.bearer == nil)
	if err != nil {
		return nil, nil, err
	}
	profile, err := envelope.New(name, party, envelope.Options{Version: e.EnvelopeVer, TransType: e.TransType, TypeNames: e.TypeNames, Provider: p, Now: ends.now})
	if err != nil {
		return nil, nil, fmt.Errorf("envelope: %w", err)
	}
	tc := envelope.TransportConfig{PaasID: e.PaasID, Upper: e.UpperCaseHex, APIName: e.APIName, APIVersion: e.APIVersion, Bearer: ends.bearer, Accept: ends.accept}
	for _, s := range []struct {
		name, kind string
		from       config.Secret
		to         *string
	}{{"token", "tif", e.Token, &tc.Token}, {"access_key", "csb", e.AccessKey, &tc.AccessKey}, {"secret_key", "csb", e.SecretKey, &tc.SecretKey}} {
		if s.kind != kind {
			continue
		}
		if *s.to, err = sec.text(s.from); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", s.name, err)
		}
	}
	transport, err := envelope.NewTransport(kind, tc)
	if err != nil {
		return nil, nil, fmt.Errorf("transport: %w", err)
	}
	return profile, transport, nil
}

// party reads the keys of an endpoint. The profile cainfo needs a key of ours at the hospital's end and
// keys of the peer at the centre's; the other ones always need both.
func (e endpointSettings) party(p sm.Provider, sec *secrets, profile string, atCentre bool) (envelope.Party, error) {
	party := envelope.Party{AppID: e.AppID, UID: e.UserID}
	var err error
	needSign, needPeers := true, true
	switch profile {
	case "none":
		return party, nil
	case "cainfo":
		if party.AppID, err = sec.text(e.ClientID); err != nil {
			return party, fmt.Errorf("client_id: %w", err)
		}
		needSign, needPeers = !atCentre, atCentre
	default:
		if party.AppSecret, err = sec.text(e.AppSecret); err != nil {
			return party, fmt.Errorf("app_secret: %w", err)
		}
	}
	var own *sm.PublicKey
	if needSign || e.PrivateKey.Set() {
		key, err := sec.private(p, e.PrivateKey)
		if err != nil {
			return party, fmt.Errorf("private_key: %w", err)
		}
		party.Signer, own = key, key.Public()
	}
	if needPeers && len(e.PeerKeys) == 0 {
		return party, errors.New("peer_keys is empty: replies could not be verified")
	}
	for i, k := range e.PeerKeys {
		pubs, err := sec.public(k.Key)
		if err != nil {
			return party, fmt.Errorf("peer_keys[%d]: %w", i, err)
		}
		for _, pub := range pubs {
			if own != nil && pub.Equal(own) {
				return party, fmt.Errorf("peer_keys[%d] is our own public key: the platform's is needed", i)
			}
			party.Verify, party.Windows = append(party.Verify, pub), append(party.Windows, k.Window)
		}
	}
	return party, nil
}

// line is the gateway's end of an endpoint: what protects it, and where its access tokens come from.
func (c centreSettings) line(p sm.Provider, sec *secrets, clock gateway.Clock) (envelope.Profile, envelope.Transport, *centre.Tokens, error) {
	e := c.Protect
	ends := lineEnds{now: clock.Now}
	var tokens *centre.Tokens
	if _, err := envelope.Compose(e.names()); err != nil {
		return nil, nil, nil, err
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, nil, nil, errors.New("url can not be read")
	}
	switch e.Transport {
	case "csb":
		if u.RawQuery != "" {
			return nil, nil, nil, errors.New("url: transport csb signs no parameters of the URL, so it may have none")
		}
	case "oauth-cainfo":
		if u.Scheme != "https" && !centre.Loopback(c.URL) {
			return nil, nil, nil, errors.New("url: with transport oauth-cainfo replies carry no signature, so it must begin with https://")
		}
		if tokens, err = e.tokens(sec, clock); err != nil {
			return nil, nil, nil, err
		}
		ends.bearer = tokens.Bearer
	}
	profile, transport, err := e.protect(p, sec, ends)
	return profile, transport, tokens, err
}

func (e endpointSettings) tokens(sec *secrets, clock gateway.Clock) (*centre.Tokens, error) {
	o := centre.TokenOptions{URL: e.TokenURL, Username: e.Username, Scope: e.Scope, Grant: e.GrantType, Clock: clock}
	var err error
	if o.ClientID, err = sec.text(e.ClientID); err != nil {
		return nil, fmt.Errorf("client_id: %w", err)
	}
	if o.ClientSecret, err = sec.text(e.ClientSecret); err != nil {
		return nil, fmt.Errorf("client_secret: %w", err)
	}
	if e.Password.Set() {
		if o.Password, err = sec.text(e.Password); err != nil {
			return nil, fmt.Errorf("password: %w", err)
		}
	}
	t, err := centre.NewTokens(o)
	if err != nil {
		return nil, fmt.Errorf("token_url: %w", err)
	}
	return t, nil
}
