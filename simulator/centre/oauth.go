package centre

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// Issuer is the OAuth2 server in front of a centre that wants access tokens: it gives them to the one
// client it knows and judges them for the transport's Check. Safe for concurrent use.
type Issuer struct {
	opt IssuerOptions

	mu     sync.Mutex
	tokens map[[32]byte]time.Time // digest of a token, and its end
}

// IssuerOptions say who gets a token.
type IssuerOptions struct {
	ClientID, ClientSecret string // HTTP Basic
	Username, Password     string // form fields; asked for when set
	Life                   time.Duration
	Now                    func() time.Time
	Rand                   io.Reader // nil: crypto/rand
}

// maxTokens bounds what is remembered; the oldest go first.
const maxTokens = 10_000

// NewIssuer makes one; Life zero means two hours.
func NewIssuer(o IssuerOptions) *Issuer {
	if o.Life == 0 {
		o.Life = 2 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return &Issuer{opt: o, tokens: map[[32]byte]time.Time{}}
}

// Accept tells whether a token was given out and is still good.
func (i *Issuer) Accept(token string, now time.Time) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	end, ok := i.tokens[sha256.Sum256([]byte(token))]
	return ok && now.Before(end)
}

// Revoke makes every token worthless.
func (i *Issuer) Revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	clear(i.tokens)
}

// ServeHTTP answers POST with grant_type password or client_credentials.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refused := func(status int, word string) {
		write(w, status, "application/json", []byte(`{"error":"`+word+`"}`))
	}
	if r.Method != http.MethodPost {
		refused(http.StatusMethodNotAllowed, "invalid_request")
		return
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	body, readErr := io.ReadAll(http.MaxBytesReader(w, r.Body, 64<<10))
	form, formErr := url.ParseQuery(string(body))
	if err != nil || media != "application/x-www-form-urlencoded" || readErr != nil || formErr != nil {
		refused(http.StatusBadRequest, "invalid_request")
		return
	}
	id, secret, ok := r.BasicAuth()
	id, idErr := url.QueryUnescape(id)
	secret, secretErr := url.QueryUnescape(secret)
	if !ok || idErr != nil || secretErr != nil || !same(id, i.opt.ClientID) || !same(secret, i.opt.ClientSecret) {
		refused(http.StatusUnauthorized, "invalid_client")
		return
	}
	switch form.Get("grant_type") {
	case "password":
		if !same(form.Get("username"), i.opt.Username) || !same(form.Get("password"), i.opt.Password) {
			refused(http.StatusBadRequest, "invalid_grant")
			return
		}
	case "client_credentials":
		if i.opt.Username != "" {
			refused(http.StatusBadRequest, "unauthorized_client")
			return
		}
	default:
		refused(http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	token, err := i.give()
	if err != nil {
		refused(http.StatusInternalServerError, "server_error")
		return
	}
	answer, err := json.Marshal(map[string]any{"access_token": token, "token_type": "bearer", "expires_in": int(i.opt.Life / time.Second)})
	if err != nil {
		refused(http.StatusInternalServerError, "server_error")
		return
	}
	write(w, http.StatusOK, "application/json", answer)
}

func (i *Issuer) give() (string, error) {
	var b [24]byte
	if _, err := io.ReadFull(i.opt.Rand, b[:]); err != nil {
		return "", err
	}
	token, now := hex.EncodeToString(b[:]), i.opt.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	for digest, end := range i.tokens {
		if !now.Before(end) || len(i.tokens) >= maxTokens {
			delete(i.tokens, digest)
		}
	}
	i.tokens[sha256.Sum256([]byte(token))] = now.Add(i.opt.Life)
	return token, nil
}

// same compares secrets in constant time.
func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
