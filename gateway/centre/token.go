package centre

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
)

// TokenOptions say where access tokens come from (transport oauth-cainfo). A zero field means its
// default; fields without a default are required.
type TokenOptions struct {
	URL                    string // https, or http on this machine
	ClientID, ClientSecret string // HTTP Basic
	Username, Password     string // form fields; optional
	Scope                  string // form field; optional
	Grant                  string // form field grant_type; default password, or client_credentials without a user name

	Limit  time.Duration // for fetching one; default 20 s
	Margin time.Duration // a token is renewed so long before it ends, but never before half its life; default 60 s

	TLS   *tls.Config                                                       // optional, as in Options
	Dial  func(ctx context.Context, network, addr string) (net.Conn, error) // optional
	Clock gateway.Clock                                                     // required
}

// Tokens fetches access tokens, keeps the one that is good and renews it in time. A token is fetched by
// whoever needs one; others wait for it. Nothing is fetched in the background. Safe for concurrent use.
type Tokens struct {
	o    TokenOptions
	http *http.Transport
	turn chan struct{} // held by whoever fetches

	mu         sync.Mutex
	token      string
	renew, end time.Time
}

const (
	maxTokenReply = 64 << 10
	maxTokenLife  = 24 * time.Hour
	tokenLife     = 10 * time.Minute // where the answer says nothing
)

var errToken = errors.New("no access token")

// NewTokens checks the options. It opens no connection.
func NewTokens(o TokenOptions) (*Tokens, error) {
	u, err := url.Parse(o.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && !(u.Scheme == "http" && loopback(u)):
		return nil, errors.New("centre: the token URL must begin with https:// (http:// on this machine only) and hold no user")
	case o.ClientID == "" || o.ClientSecret == "":
		return nil, errors.New("centre: client id and client secret are required for access tokens")
	case o.Clock == nil:
		return nil, errors.New("centre: Clock is required")
	case (o.Username == "") != (o.Password == ""):
		return nil, errors.New("centre: user name and password of the token go together")
	case o.Limit < 0 || o.Margin < 0:
		return nil, errors.New("centre: a duration is negative")
	}
	if o.Grant == "" {
		o.Grant = "client_credentials"
		if o.Username != "" {
			o.Grant = "password"
		}
	}
	def(&o.Limit, 20*time.Second)
	def(&o.Margin, time.Minute)
	if o.TLS == nil {
		o.TLS = &tls.Config{}
	}
	o.TLS = o.TLS.Clone()
	o.TLS.MinVersion = max(o.TLS.MinVersion, tls.VersionTLS12)
	if o.Dial == nil {
		o.Dial = (&net.Dialer{}).DialContext
	}
	one := new(http.Protocols)
	one.SetHTTP1(true)
	return &Tokens{o: o, turn: make(chan struct{}, 1), http: &http.Transport{
		DialContext: o.Dial, TLSClientConfig: o.TLS, DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: maxHeaders, Protocols: one,
	}}, nil
}

// Loopback reports whether a URL names this machine, where a line needs no TLS.
func Loopback(base string) bool {
	u, err := url.Parse(base)
	return err == nil && loopback(u)
}

func loopback(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// Bearer gives the token of the moment without waiting; an error when there is none that is good.
func (t *Tokens) Bearer() (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token == "" || !t.o.Clock.Now().Before(t.end) {
		return "", errToken
	}
	return t.token, nil
}

// Ready sees to it that Bearer has a token, and fetches one where it must. The error says that none
// could be had; a token that is still good for a moment is better than none.
func (t *Tokens) Ready(ctx context.Context) error {
	if t.fresh() {
		return nil
	}
	ctx, stop := limited(ctx, t.o.Clock.Sleep, t.o.Limit, errLapsed)
	defer stop()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errToken, context.Cause(ctx))
	}
	defer func() { <-t.turn }()
	if t.fresh() { // while we waited
		return nil
	}
	token, life, err := t.fetch(ctx)
	if err != nil {
		if _, none := t.Bearer(); none == nil {
			return nil
		}
		return fmt.Errorf("%w: %w", errToken, err)
	}
	now := t.o.Clock.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token, t.end, t.renew = token, now.Add(life), now.Add(max(life-t.o.Margin, life/2))
	return nil
}

func (t *Tokens) fresh() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.token != "" && t.o.Clock.Now().Before(t.renew)
}

// Drop forgets a token the centre does not take; the next message fetches another.
func (t *Tokens) Drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = ""
}

// fetch asks for a token once. No error holds anything of what was sent or came back.
func (t *Tokens) fetch(ctx context.Context) (token string, life time.Duration, err error) {
	form := url.Values{"grant_type": {t.o.Grant}}
	for name, v := range map[string]string{"username": t.o.Username, "password": t.o.Password, "scope": t.o.Scope} {
		if v != "" {
			form.Set(name, v)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.o.URL, bytes.NewReader([]byte(form.Encode())))
	if err != nil {
		return "", 0, errors.New("the token URL can not be asked")
	}
	req.SetBasicAuth(url.QueryEscape(t.o.ClientID), url.QueryEscape(t.o.ClientSecret))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "yiqiao")
	resp, err := t.http.RoundTrip(req)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			return "", 0, cause
		}
		return "", 0, errors.New("the token server can not be reached")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxTokenReply+1))
	switch {
	case err != nil || len(body) > maxTokenReply:
		return "", 0, errors.New("the answer of the token server is not whole")
	case resp.StatusCode != http.StatusOK:
		return "", 0, fmt.Errorf("the token server answers with status %d", resp.StatusCode)
	}
	return readToken(body)
}

// readToken reads access_token and expires_in (seconds, a number or text).
func readToken(body []byte) (token string, life time.Duration, err error) {
	v, err := strictjson.Decode(body, strictjson.Limits{MaxBytes: maxTokenReply})
	object, ok := v.(map[string]any)
	if err != nil || !ok {
		return "", 0, errors.New("the answer of the token server is no JSON object")
	}
	token, ok = object["access_token"].(string)
	if !ok || token == "" || len(token) > 4096 || strings.ContainsFunc(token, func(r rune) bool { return r < 0x21 || r > 0x7e }) {
		return "", 0, errors.New("the answer of the token server has no usable access_token")
	}
	if kind := strictjson.Text(object["token_type"]); kind != "" && !strings.EqualFold(kind, "bearer") {
		return "", 0, errors.New("the token server gives no bearer token")
	}
	life = tokenLife
	if text := strictjson.Text(object["expires_in"]); text != "" {
		seconds, err := strconv.ParseInt(text, 10, 32)
		if err != nil || seconds <= 0 {
			return "", 0, errors.New("the answer of the token server has no usable expires_in")
		}
		life = min(time.Duration(seconds)*time.Second, maxTokenLife)
	}
	return token, life, nil
}
