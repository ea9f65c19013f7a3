package rest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// People sign in at /api/v1/sessions; a session's token stands in Authorization: Bearer, or, beside the
// key of a HIS system, in SessionHeader. It is no cookie, so no page of somebody else can use it.

// tokenPrefix is how the token of a session begins; no API key does.
const tokenPrefix = "yqs_"

// maxSignIn is the longest body of a sign-in, in bytes.
const maxSignIn = 16 << 10

// SignInBody is what POST /api/v1/sessions takes.
type SignInBody struct {
	ID       string `json:"id"`
	Password string `json:"password"`
}

// PasswordBody is what POST /api/v1/sessions/current/password takes.
type PasswordBody struct {
	Password string `json:"password"`     // the present one
	Fresh    string `json:"new_password"` // the one to be
}

// Session is a session as the person sees it.
type Session struct {
	Token        string              `json:"token,omitempty"` // told once, when it begins
	Person       gateway.Person      `json:"person"`
	Institutions []ident.Institution `json:"institutions"` // none with everywhere
	Everywhere   bool                `json:"everywhere"`
	Acts         []gateway.Act       `json:"acts"`                 // what the roles allow
	MustChange   bool                `json:"must_change_password"` // before anything else
	Issued       time.Time           `json:"issued_at"`
	Expires      time.Time           `json:"expires_at"`
	IdleUntil    time.Time           `json:"idle_until"` // unless it is used before
}

func sessionAnswer(status int, v gateway.Visitor, token string) (answer, error) {
	s := Session{Token: token, Person: v.Person, Institutions: v.Institutions, Everywhere: v.Everywhere, Acts: v.Acts, MustChange: v.MustChange,
		Issued: inChina(v.Issued), Expires: inChina(v.Expires), IdleUntil: inChina(v.IdleUntil)}
	if s.Institutions == nil {
		s.Institutions = []ident.Institution{}
	}
	return asJSON(status, s)
}

// sessionBinders read the bodies of sign-ins.
type sessionBinders struct {
	in     *bind.Binder[SignInBody]
	change *bind.Binder[PasswordBody]
}

func newSessionBinders() (b sessionBinders, err error) {
	if b.in, err = bind.New[SignInBody](bind.Rules{MaxText: map[string]int{"SignInBody.id": 64, "SignInBody.password": 128}}); err != nil {
		return b, err
	}
	b.change, err = bind.New[PasswordBody](bind.Rules{MaxText: map[string]int{"PasswordBody.password": 128, "PasswordBody.new_password": 128}})
	return b, err
}

// keeper is who lets people in.
func (k *call) keeper() (gateway.Doorkeeper, error) {
	if k.h.o.Doorkeeper == nil {
		return nil, &gateway.Error{Code: gateway.CodeNotSupported, Op: "rest"}
	}
	return k.h.o.Doorkeeper, nil
}

// token is that of the session a call is made in, "" when it names none or two that differ.
func (k *call) token() string {
	head := k.c.Request.Header
	if len(head.Values("Authorization")) > 1 || len(head.Values(SessionHeader)) > 1 {
		return ""
	}
	token := head.Get(SessionHeader)
	scheme, bearer, _ := strings.Cut(strings.TrimSpace(head.Get("Authorization")), " ")
	if bearer = strings.TrimSpace(bearer); strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(bearer, tokenPrefix) {
		if token != "" && token != bearer {
			return ""
		}
		return bearer
	}
	return token
}

// among does f while there is one of the places.
func (h *Handler) among(places chan struct{}, f step) step {
	return func(k *call) (answer, error) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			return answer{}, &gateway.Error{Code: gateway.CodeRateLimited, Op: "rest"}
		}
		return f(k)
	}
}

// readSmall reads and binds a small body without a request id: what it does is not to be repeated. Nobody
// knows yet who sends it, so no place is held while it comes.
func readSmall[T any](k *call, b *bind.Binder[T]) (out T, err error) {
	if !isJSON(k.c.Request.Header) {
		return out, &gateway.Error{Code: gateway.CodeMediaType, Op: "rest"}
	}
	text, err := io.ReadAll(http.MaxBytesReader(k.c.Writer, k.c.Request.Body, maxSignIn))
	if big := new(http.MaxBytesError); errors.As(err, &big) {
		return out, k.leaveUnread(&gateway.Error{Code: gateway.CodeBodyTooLarge, Op: "rest", Rule: string(strictjson.Size)})
	} else if err != nil {
		return out, &gateway.Error{Code: gateway.CodeBodyNotJSON, Op: "rest", Rule: string(strictjson.Syntax)}
	}
	v, err := strictjson.Decode(text, strictjson.Request())
	if err != nil {
		return out, jsonError(err)
	}
	out, findings := b.Bind(v)
	if len(findings) > 0 {
		return out, bind.Refused("rest", findings...)
	}
	return out, nil
}

func (h *Handler) postSession(k *call) (answer, error) {
	d, err := k.keeper()
	if err != nil {
		return answer{}, err
	}
	in, err := readSmall(k, h.session.in)
	if err != nil {
		return answer{}, err
	}
	return h.among(h.people, func(k *call) (answer, error) {
		v, token, err := d.SignIn(k.ctx(), gateway.SignIn{ID: in.ID, Password: in.Password, From: k.c.Request.RemoteAddr})
		if err != nil {
			return answer{}, err
		}
		k.person = v.ID
		return sessionAnswer(http.StatusCreated, v, token)
	})(k)
}

func (h *Handler) getSession(k *call) (answer, error) {
	v, err := k.visitor()
	if err != nil {
		return answer{}, err
	}
	return sessionAnswer(http.StatusOK, v, "")
}

func (h *Handler) deleteSession(k *call) (answer, error) {
	d, err := k.keeper()
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, d.SignOut(k.ctx(), k.token())
}

func (h *Handler) postPassword(k *call) (answer, error) {
	d, err := k.keeper()
	if err != nil {
		return answer{}, err
	}
	in, err := readSmall(k, h.session.change)
	if err != nil {
		return answer{}, err
	}
	return h.among(h.people, func(k *call) (answer, error) {
		v, token, err := d.ChangePassword(k.ctx(), k.token(), in.Password, in.Fresh, k.c.Request.RemoteAddr)
		if err != nil {
			return answer{}, err
		}
		k.person = v.ID
		return sessionAnswer(http.StatusOK, v, token)
	})(k)
}

// visitor is the person of the session a call is made in.
func (k *call) visitor() (gateway.Visitor, error) {
	d, err := k.keeper()
	if err != nil {
		return gateway.Visitor{}, err
	}
	v, err := d.WhoIs(k.ctx(), k.token())
	k.person = v.ID
	return v, err
}

// byPerson is a route for people: those whose roles allow the act. A refusal is noted.
func (h *Handler) byPerson(act gateway.Act, f func(*call, gateway.Visitor) (answer, error)) step {
	return h.among(h.people, func(k *call) (answer, error) {
		v, err := k.visitor()
		if err != nil {
			return answer{}, err
		}
		if err := v.May(act); err != nil {
			k.h.o.Doorkeeper.Denied(v, act)
			return answer{}, err
		}
		return f(k, v)
	})
}

// guardedOrPerson is guarded, and lets a person in who comes by itself and may do it: for its own
// institutions.
func (h *Handler) guardedOrPerson(act gateway.Act, f step) step {
	his := h.admitted(f)
	person := h.byPerson(act, func(k *call, v gateway.Visitor) (answer, error) {
		k.caller = gateway.Caller{System: "person:" + v.ID, Institutions: v.Institutions}
		if v.Everywhere {
			k.caller.Institutions = h.o.Institutions
		}
		k.c.Request.Header.Set(SessionHeader, k.token())
		return f(k)
	})
	return func(k *call) (answer, error) {
		_, bearer, _ := strings.Cut(strings.TrimSpace(k.c.GetHeader("Authorization")), " ")
		if strings.HasPrefix(strings.TrimSpace(bearer), tokenPrefix) {
			return person(k)
		}
		return his(k)
	}
}
