package centre

import (
	"bytes"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/wire"
	"yiqiao/simulator/fault"
	"yiqiao/simulator/people"
)

// parties makes both ends of an mpc line with synthetic keys.
func parties(t *testing.T) (hospital, centre, stranger envelope.Profile) {
	t.Helper()
	seeded := rand.NewChaCha8([32]byte{1})
	var ks [3]*sm.PrivateKey
	for i := range ks {
		k, err := sm.GenerateKey(seeded)
		if err != nil {
			t.Fatal(err)
		}
		ks[i] = k
	}
	line := func(own *sm.PrivateKey, peer *sm.PrivateKey) envelope.Profile {
		p, err := envelope.New("mpc", envelope.Party{AppID: "TESTAPPID0000000001", AppSecret: "test-secret", Sign: own,
			Verify: []*sm.PublicKey{peer.Public()}}, envelope.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	return line(ks[0], ks[1]), line(ks[1], ks[0]), line(ks[2], ks[1])
}

func TestSealedLadder(t *testing.T) {
	hospital, centre, stranger := parties(t)
	seeded := rand.NewChaCha8([32]byte{2})
	script := &fault.Script{}
	d := newDesk(t, Options{Profile: centre, Rand: rand.NewChaCha8([32]byte{3}), Faults: script})
	p := someone(t, people.Active)

	post := func(by envelope.Profile, at time.Time, infno string, in object, spoil bool) (wire.Reply, envelope.Head, error) {
		t.Helper()
		plain, err := wire.EncodeRequest(d.request(infno, d.msgid(), p.Area, in))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := by.Seal(seeded, at, plain)
		if err != nil {
			t.Fatal(err)
		}
		if spoil {
			sealed.Body = bytes.Replace(sealed.Body, []byte(`"encData":"`), []byte(`"encData":"00`), 1)
		}
		w := d.post(sealed.Body)
		data, head, err := hospital.OpenReply(w.Body.Bytes())
		if err != nil || data == nil {
			return wire.Reply{}, head, err
		}
		r, err := wire.DecodeReply(data)
		if err != nil {
			t.Fatal(err)
		}
		return r, head, nil
	}
	must := func(infno string, in object) object {
		t.Helper()
		r, head, err := post(hospital, noon(), infno, in, false)
		if err != nil || head.Code != "0" || !r.OK() {
			t.Fatalf("%s: %v %q %q", infno, err, head.Code, r.ErrMsg)
		}
		o, _ := r.Output.(object)
		return o
	}
	must("1101", object{"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert}})
	visit := text(node(must("2201", registration(p, "OTP1")), "data"), "mdtrt_id")
	must("2203", visitInput(p, visit, "11"))
	bill := append(standardBill(), fee{"6", "XZ99AAA009A001010100001", "1", "1"}) // an item whose limit is written 9.999999999E9
	must("2204", feeInput(t, p, visit, "B1", bill...))
	out := must("2207", settleInput(p, visit, "B1", must("2206", trialInput(p, visit, "B1", 480_54))))
	identities(t, out, false, false)

	// A refusal travels inside a good envelope.
	r, head, err := post(hospital, noon(), "2206", trialInput(p, visit, "B1", 480_54), false)
	if err != nil || head.Code != "0" || r.OK() || !strings.Contains(r.ErrMsg, "已结算") {
		t.Errorf("refusal: %v %q %q", err, head.Code, r.ErrMsg)
	}
	before := d.c.Digest()
	cases := []struct {
		name  string
		by    envelope.Profile
		at    time.Time
		spoil bool
	}{
		{"signed by a stranger", stranger, noon(), false},
		{"changed on the way", hospital, noon(), true},
		{"ten minutes old", hospital, noon().Add(-10 * time.Minute), false},
		{"from the future", hospital, noon().Add(10 * time.Minute), false},
	}
	for _, k := range cases {
		_, head, _ := post(k.by, k.at, "2201", registration(p, "OTP2"), k.spoil)
		if head.Code == "0" || head.Code == "" {
			t.Errorf("%s: code %q", k.name, head.Code)
		}
	}
	if w := d.post([]byte("{}")); !strings.Contains(w.Body.String(), `"code"`) {
		t.Errorf("an unsealed message: %s", w.Body)
	}
	if d.c.Digest() != before {
		t.Error("a message that can not be trusted changed something")
	}
	if err := script.Add(fault.Rule{Kind: fault.WrongSignature, Times: 1}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := post(hospital, noon(), "2201", registration(p, "OTP3"), false); err == nil {
		t.Error("a spoilt signature verified")
	}
	if d.c.Digest() == before {
		t.Error("the business behind the spoilt signature was not done")
	}
}

func TestTransportHeaders(t *testing.T) {
	tif, err := envelope.NewTransport("tif", envelope.TransportConfig{PaasID: "test", Token: "test-token"})
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, Options{Transport: tif, Skew: time.Minute})
	p := someone(t, people.Active)
	body, err := wire.EncodeRequest(d.request("1101", d.msgid(), "", object{"data": object{"mdtrt_cert_type": "02", "mdtrt_cert_no": p.Cert}}))
	if err != nil {
		t.Fatal(err)
	}
	post := func(change func(*http.Request)) int {
		r := httptest.NewRequest(http.MethodPost, "/1101", bytes.NewReader(body))
		change(r)
		w := httptest.NewRecorder()
		d.c.Handler().ServeHTTP(w, r)
		return w.Code
	}
	stamp := func(at time.Time) func(*http.Request) {
		return func(r *http.Request) {
			if err := tif.Stamp(rand.NewChaCha8([32]byte{4}), at, r.Header, body); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code := post(stamp(noon())); code != http.StatusOK {
		t.Errorf("good headers: %d", code)
	}
	if code := post(func(*http.Request) {}); code != http.StatusUnauthorized {
		t.Errorf("no headers: %d", code)
	}
	if code := post(stamp(noon().Add(-2 * time.Minute))); code != http.StatusUnauthorized {
		t.Errorf("old headers: %d", code)
	}
	if n := len(d.c.Calls()); n != 1 {
		t.Errorf("%d calls reached the business", n)
	}
}
