package centre

import (
	"bytes"
	"crypto/rand"
	"net/http"
	"strings"
	"testing"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/schemas/catalog"
)

// pair gives the profiles of a hospital and of its centre, with fresh keys.
func pair(t testing.TB, name string) (ours, theirs envelope.Profile) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	hospital, err := sm.GenerateKey(rand.Reader)
	must(err)
	platform, err := sm.GenerateKey(rand.Reader)
	must(err)
	party := envelope.Party{AppID: "TESTAPPID0000000001", AppSecret: "not-a-secret-only-a-test"}
	ourParty, theirParty := party, party
	ourParty.Sign, ourParty.Verify = hospital, []*sm.PublicKey{platform.Public()}
	theirParty.Sign, theirParty.Verify = platform, []*sm.PublicKey{hospital.Public()}
	ours, err = envelope.New(name, ourParty, envelope.Options{})
	must(err)
	theirs, err = envelope.New(name, theirParty, envelope.Options{})
	must(err)
	return ours, theirs
}

func profiles(t testing.TB) []envelope.Profile {
	ours, _ := pair(t, "mpc")
	none, _ := pair(t, "none")
	return []envelope.Profile{stampProfile{}, none, ours}
}

// With signed and encrypted messages the contract is the same.
func TestClientKeepsTheContractSigned(t *testing.T) {
	ours, theirs := pair(t, "mpc")
	_, stranger := pair(t, "mpc")
	gatewaytest.CentreSuite(t, func(t *testing.T, w *gatewaytest.CentreWorld) gateway.Centre {
		return world(t, w, ours, theirs, func([]byte) []byte { // the same words, signed by somebody else
			s, err := stranger.SealReply(zeroes{}, t0, "0", "", replyText("0", "", "M1"))
			if err != nil {
				t.Error(err)
			}
			return s.Body
		})
	})
}

func TestClassifySigned(t *testing.T) {
	ours, theirs := pair(t, "mpc")
	seal := func(code string, data []byte) []byte {
		s, err := theirs.SealReply(rand.Reader, t0, code, "", data)
		if err != nil {
			t.Fatal(err)
		}
		return s.Body
	}
	ok := seal("0", replyText("0", "", "M1"))
	for name, c := range map[string]struct {
		body    []byte
		outcome gateway.Outcome
		cause   gateway.Cause
	}{
		"done":                       {ok, done, gateway.CauseNone},
		"refused":                    {seal("0", replyText("-1", "no", "M1")), refused, gateway.CauseBusiness},
		"signed outer error":         {seal("9", nil), unknown, gateway.CauseNotInterface},
		"signed outer error, done":   {seal("9", replyText("0", "", "M1")), unknown, gateway.CauseNotInterface},
		"unsigned outer error":       {[]byte(`{"code":"9","message":"x","success":false}`), unknown, gateway.CauseSignature},
		"unsigned success":           {[]byte(`{"code":0,"message":"ok"}`), unknown, gateway.CauseSignature},
		"plain reply, no envelope":   {replyText("0", "", "M1"), unknown, gateway.CauseSignature},
		"plain refusal, no envelope": {replyText("-1", "no", "M1"), unknown, gateway.CauseSignature},
		"our own key":                {mustSeal(t, ours, replyText("0", "", "M1")), unknown, gateway.CauseSignature},
		"one bit off":                {bytes.Replace(ok, []byte(`"version":"2.0.1"`), []byte(`"version":"2.0.2"`), 1), unknown, gateway.CauseSignature},
		"two replies":                {append(bytes.Clone(ok), ok...), unknown, gateway.CauseNotInterface},
		"truncated":                  {ok[:len(ok)-2], unknown, gateway.CauseNotInterface},
		"a member twice":             {append(bytes.Clone(ok[:len(ok)-1]), []byte(`,"code":0}`)...), unknown, gateway.CauseNotInterface},
	} {
		v := classify(ours, true, http.StatusOK, http.Header{}, c.body)
		if v.outcome != c.outcome || v.cause != c.cause {
			t.Errorf("%s: %s/%q (%s), want %s/%q", name, v.outcome, v.cause, v.detail, c.outcome, c.cause)
		}
	}
}

func mustSeal(t *testing.T, p envelope.Profile, data []byte) []byte {
	s, err := p.SealReply(rand.Reader, t0, "0", "", data)
	if err != nil {
		t.Fatal(err)
	}
	return s.Body
}

// BenchmarkSend is one message of 50 rows to a centre on the same machine and back.
func BenchmarkSend(b *testing.B) {
	body := []byte(`{"infno":"2204","msgid":"M1","input":{"feedetail":[` +
		strings.Repeat(`{"feedetl_sn":"1","det_item_fee_sumamt":"10.00","cnt":"1.0000","pric":"10.000000","med_list_codg":"XA01ABD075A002010100483"},`, 49) + `{}]}}`)
	for _, profile := range []string{"none", "mpc"} {
		for _, limit := range []catalog.Limit{catalog.LimitQuery, catalog.LimitSettle} {
			b.Run(profile+"/"+string(limit), func(b *testing.B) {
				ours, theirs := pair(b, profile)
				s, err := theirs.SealReply(rand.Reader, t0, "0", "", replyText("0", "", "M1"))
				if err != nil {
					b.Fatal(err)
				}
				srv := serve(b, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { rw.Write(s.Body) }))
				o := options(b, srv.URL, gatewaytest.NewClock(t0))
				o.Profile = ours
				c := newClient(b, o)
				b.SetBytes(int64(len(body)))
				for b.Loop() {
					p, err := c.Admit(b.Context(), "2204")
					if err != nil {
						b.Fatal(err)
					}
					m, err := p.Seal(gateway.Message{Infno: "2204", MsgID: "M1", Limit: limit, Body: body})
					if err != nil {
						b.Fatal(err)
					}
					want(b, p.Send(b.Context(), m), done, gateway.CauseNone)
				}
			})
		}
	}
}
