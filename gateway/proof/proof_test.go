package proof

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/keys"
	"yiqiao/crypto/sm"
	"yiqiao/gateway"
	"yiqiao/gateway/audit"
	"yiqiao/gateway/gatewaytest"
	"yiqiao/gateway/journal"
	"yiqiao/gateway/store"
	"yiqiao/gateway/vault"
	"yiqiao/schemas/ident"
)

var (
	bg = context.Background()
	t0 = time.Date(2026, 11, 23, 9, 0, 0, 0, gateway.China)
)

const (
	inst   = ident.Institution("H44010000001")
	secret = "APPLICATION-SECRET"
)

// site is a journal with its audit record, and a centre that signs.
type site struct {
	t      testing.TB
	p      sm.Provider
	db     *store.DB
	j      *journal.Journal
	log    *audit.Log
	key    *sm.PrivateKey
	signer keys.Private
	clock  *gatewaytest.Clock
	ours   envelope.Profile
	theirs envelope.Profile
	centre *sm.PrivateKey
}

func open(t testing.TB) *site {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	s := &site{t: t, clock: gatewaytest.NewClock(t0)}
	var err error
	s.p, err = sm.New("")
	must(err)
	s.key, err = sm.GenerateKey(rand.Reader)
	must(err)
	s.centre, err = sm.GenerateKey(rand.Reader)
	must(err)
	s.signer, err = keys.Soft(s.p, s.key)
	must(err)
	s.ours, err = envelope.New("mpc", envelope.Party{AppID: "APPLICATION-0001", AppSecret: secret, Sign: s.key, Verify: []*sm.PublicKey{s.centre.Public()}}, envelope.Options{Provider: s.p})
	must(err)
	s.theirs, err = envelope.New("mpc", envelope.Party{AppID: "APPLICATION-0001", AppSecret: secret, Sign: s.centre, Verify: []*sm.PublicKey{s.key.Public()}}, envelope.Options{Provider: s.p})
	must(err)
	s.db, err = store.Open(bg, store.Options{Path: filepath.Join(t.TempDir(), "a.db"), Sync: "off"})
	must(err)
	w, err := keys.NewSealer(s.p, []byte("0123456789abcdefFEDCBA9876543210"))
	must(err)
	v, err := vault.Open(bg, s.db, vault.Options{Provider: s.p, Wrappers: []keys.Wrapper{w}})
	must(err)
	s.log, err = audit.Open(audit.Options{DB: s.db, Name: "gw", SM3: s.p.SM3, Clock: s.clock, Secret: v.Digest([]byte("audit")), Signer: s.signer, Rand: rand.Reader})
	must(err)
	s.j, err = journal.Open(s.db, journal.Options{Sealer: v, Audit: s.log})
	must(err)
	t.Cleanup(func() {
		if err := errors.Join(s.j.Close(), s.db.Close()); err != nil {
			t.Error(err)
		}
		v.Close()
	})
	return s
}

const settled = `{"setlinfo":{"setl_id":"S1","psn_name":"测试甲","mdtrt_id":"M1","medfee_sumamt":12.50,"fund_pay_sumamt":"10.00","acct_pay":0,"psn_cash_pay":"2.50","memo":""}}`

// settle writes one settlement; signed is the output the centre signs, kept what the journal keeps.
func (s *site) settle(signed, kept string) ident.MsgID {
	s.t.Helper()
	id, err := s.j.NextMsgID(bg, inst, s.clock.Now())
	if err != nil {
		s.t.Fatal(err)
	}
	sealed, err := s.theirs.SealReply(rand.Reader, s.clock.Now(), "0", "成功", []byte(`{"infcode":0,"warn_msg":null,"output":`+signed+`}`))
	if err != nil {
		s.t.Fatal(err)
	}
	_, _, e, err := s.ours.(envelope.Witness).OpenReplyEvidence(sealed.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	key, now := gateway.RequestKey{System: "his-main", ID: "R" + string(id)}, s.clock.Now()
	bill := "B" + string(id)
	if _, err = s.j.Write(bg, gateway.Entry{
		Request: &gateway.Request{Key: key, Digest: [32]byte{2}, Op: "settlement.confirm", Institution: inst, Ref: bill, CreatedAt: now},
		Bill:    &gateway.Bill{ID: bill, Institution: inst, System: "his-main", CreatedAt: now, Body: []byte(`{"total":"12.50"}`)},
		Record: &gateway.Record{ID: id, Institution: inst, Infno: "2207", Request: key, Step: "2207", Attempt: 1, Bill: bill,
			Operator: gateway.Operator{ID: "opr-007", Type: "1"}, CreatedAt: now, State: gateway.StateSent,
			Input: []byte(`{"data":{"psn_no":"440100001"},"opter_name":"张收费"}`), WireDigest: [32]byte{1}},
	}); err == nil {
		_, err = s.j.Write(bg, gateway.Entry{
			Append: &gateway.Append{ID: id, Version: 1, Event: gateway.Event{Kind: gateway.EventDone, At: now, Data: []byte(kept), Evidence: e.Append(nil)}},
			Answer: &gateway.Answer{Key: key, Body: []byte(`{"state":"settled"}`), At: now},
		})
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.clock.Advance(time.Second)
	return id
}

func (s *site) head() {
	s.t.Helper()
	if _, _, err := s.log.Head(bg); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) make(subject string, full bool) *Pack {
	s.t.Helper()
	p, err := Make(bg, subject, s.making(full))
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (s *site) making(full bool) Making {
	return Making{Journal: s.j, DB: s.db, Audit: s.log, SM3: s.p.SM3, Signer: s.signer, Rand: rand.Reader, Now: t0, By: "os:tester", Program: "test", Full: full}
}

func (s *site) checking() Checking {
	return Checking{Provider: s.p, Keys: []*sm.PublicKey{s.key.Public()}, Centre: []*sm.PublicKey{s.centre.Public()}, Secret: secret}
}

func encode(t testing.TB, p *Pack) []byte {
	t.Helper()
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestPack(t *testing.T) {
	s := open(t)
	for range 5 {
		s.settle(settled, settled)
	}
	id := s.settle(settled, settled)
	s.head()
	s.settle(settled, settled)
	full := s.make(string(id), true)
	r := Check(encode(t, full), s.checking())
	if !r.Good || r.Verified != 1 || r.Items != 5 || full.Subject != "B"+string(id) || r.Summary.Steps[0].Events[0].Settled.Total != "12.50" || r.Summary.Steps[0].Name != "张收费" {
		t.Errorf("%+v", r)
	}
	masked := s.make("B"+string(id), false)
	text := encode(t, masked)
	if r := Check(text, s.checking()); !r.Good || r.Signed != 1 || r.NotLooked != 1 || r.Verified != 0 {
		t.Errorf("%+v", r)
	}
	for _, never := range []string{"测试甲", "440100001", "张收费", "S1", "5rWL6K+V55Sy"} {
		if strings.Contains(string(text), never) {
			t.Errorf("%s in the masked form", never)
		}
	}
	// Errors that a person can act on.
	if _, err := Make(bg, "nobody", s.making(false)); !errors.Is(err, gateway.ErrNotFound) {
		t.Error(err)
	}
	late := s.settle(settled, settled)
	if _, err := Make(bg, string(late), s.making(false)); !errors.Is(err, audit.ErrNotSigned) {
		t.Error(err)
	}
	s.head()
	s.make(string(late), false)
	// A record whose operator was changed behind the gateway's back is not in the audit record.
	if err := s.db.Do(bg, func(tx *store.Tx) error {
		_, err := tx.Exec("UPDATE record SET operator = 'opr-666' WHERE id = $1", string(late))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := Make(bg, string(late), s.making(true)); !errors.Is(err, audit.ErrNotNoted) {
		t.Error(err)
	}
}

// A centre that signed something else than what was kept.
func TestSignedSomethingElse(t *testing.T) {
	s := open(t)
	for _, kept := range []string{strings.Replace(settled, "12.50", "12.51", 1), strings.Replace(settled, "测试甲", "测试乙", 1), `{}`,
		strings.Replace(settled, `"memo":""`, `"memo":"x"`, 1)} {
		id := s.settle(settled, kept)
		s.head()
		if r := Check(encode(t, s.make(string(id), true)), s.checking()); r.Good || r.Findings[0].Kind != FoundDiffers {
			t.Errorf("%s: %+v", kept, r.Findings)
		}
	}
	id := s.settle(settled, strings.Replace(settled, `"memo":""`, `"memo":null`, 1)) // what is empty is not signed
	s.head()
	if r := Check(encode(t, s.make(string(id), true)), s.checking()); !r.Good {
		t.Errorf("%+v", r.Findings)
	}
}

// Every byte, and then the gateway itself: it has the key, makes the pack say something else and signs it anew. What the
// record committed to and the signed heads do not let it.
func TestTampering(t *testing.T) {
	s := open(t)
	s.settle(settled, settled)
	id := s.settle(settled, settled)
	s.head()
	for _, full := range []bool{true, false} {
		p := s.make(string(id), full)
		whole := encode(t, p)
		c := Checking{Provider: s.p, Keys: s.checking().Keys}
		if !Check(whole, c).Good {
			t.Fatalf("%+v", Check(whole, c).Findings)
		}
		step := 7 // one byte after the other takes ten seconds
		if os.Getenv("YIQIAO_SWEEP") != "" {
			step = 1
		}
		for i := 0; i < len(whole); i += step {
			bad := bytes.Clone(whole)
			bad[i] ^= 1
			if Check(bad, c).Good {
				t.Fatalf("byte %d of %d (%q) can be changed", i, len(whole), whole[max(0, i-20):min(len(whole), i+20)])
			}
		}
		n := 0
		spoil(reflect.ValueOf(p).Elem(), "pack", func(where string) {
			switch {
			case strings.HasPrefix(where, "pack.Summary"), strings.HasPrefix(where, "pack.Amounts"), strings.HasPrefix(where, "pack.Made"),
				strings.HasPrefix(where, "pack.Program"), strings.HasPrefix(where, "pack.Key"),
				where == "pack.Sign":
				return // its own statements; the summary is made of the items again
			case where == "pack.Items cut": // what is left out at the end can not be seen
				return
			}
			n++
			q := *p
			q.Summary, _ = summarise(q.Items)
			if q.sign(s.signer, rand.Reader) != nil {
				return
			}
			b, err := q.Encode()
			if err != nil {
				return // a number json can not hold
			}
			if r := Check(b, s.checking()); r.Good {
				t.Errorf("%s: the gateway can change it afterwards", where)
			}
		})
		if n < 500 {
			t.Errorf("only %d changes were tried", n)
		}
	}
}

// spoil changes one thing after the other in v, calls see, and puts it back.
func spoil(v reflect.Value, where string, see func(string)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				spoil(v.Field(i), where+"."+v.Type().Field(i).Name, see)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			b := v.Bytes()
			for i := 0; i < len(b); i += max(1, len(b)/40) {
				b[i] ^= 1
				see(where)
				b[i] ^= 1
			}
			return
		}
		for i := range v.Len() {
			spoil(v.Index(i), where+"["+string(rune('0'+i%10))+"]", see)
		}
		if n := v.Len(); n > 0 { // the last is taken away, or told twice
			whole := reflect.ValueOf(v.Interface())
			v.Set(whole.Slice(0, n-1))
			see(where + " cut")
			v.Set(reflect.AppendSlice(reflect.MakeSlice(v.Type(), 0, n+1), whole))
			v.Set(reflect.Append(v, whole.Index(n-1)))
			see(where + " doubled")
			v.Set(whole)
		}
	case reflect.String:
		old := v.String()
		for i := 0; i < len(old); i += max(1, len(old)/20) {
			b := []byte(old)
			b[i] ^= 1
			v.SetString(string(b))
			see(where)
		}
		v.SetString(old)
	case reflect.Int, reflect.Int64:
		old := v.Int()
		v.SetInt(old + 1)
		see(where)
		v.SetInt(old)
	}
}

// An event in the middle of a history can not be left out, by the gateway either.
func TestGap(t *testing.T) {
	s := open(t)
	id, err := s.j.NextMsgID(bg, inst, t0)
	if err != nil {
		t.Fatal(err)
	}
	entries := []gateway.Entry{{Record: &gateway.Record{ID: id, Institution: inst, Infno: "2207", Step: "2207", Attempt: 1, CreatedAt: t0, State: gateway.StateSent}}}
	for i, k := range []gateway.EventKind{gateway.EventUnknown, gateway.EventAsked, gateway.EventDone} {
		entries = append(entries, gateway.Entry{Append: &gateway.Append{ID: id, Version: i + 1, Event: gateway.Event{Kind: k, At: t0}}})
	}
	if _, err := s.j.Write(bg, entries...); err != nil {
		t.Fatal(err)
	}
	s.head()
	p := s.make(string(id), false)
	if r := Check(encode(t, p), s.checking()); !r.Good || r.Items != 4 {
		t.Fatalf("%+v", r)
	}
	p.Items = append(p.Items[:2:2], p.Items[3])
	if p.Summary, err = summarise(p.Items); err != nil {
		t.Fatal(err)
	}
	if err := p.sign(s.signer, rand.Reader); err != nil {
		t.Fatal(err)
	}
	if r := Check(encode(t, p), s.checking()); r.Good || r.Findings[0].Kind != FoundGap {
		t.Errorf("%+v", r.Findings)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"yiqiao_proof":1}`))
	f.Add([]byte("<!DOCTYPE html>" + packBegin + "{}" + packEnd))
	p, err := sm.New("")
	if err != nil {
		f.Fatal(err)
	}
	key, err := sm.GenerateKey(rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r := Check(b, Checking{Provider: p, Keys: []*sm.PublicKey{key.Public()}}); r.Good {
			t.Error("something that nobody signed is good")
		}
		if _, err := json.Marshal(Check(b, Checking{Provider: p})); err != nil {
			t.Error(err)
		}
	})
}
