package envelope

import (
	"crypto/rand"
	"errors"
	"io"
	"testing"

	"yiqiao/crypto/sm"
)

// device signs with a key the envelope never gets.
type device struct {
	p    sm.Provider
	k    *sm.PrivateKey
	fail bool
}

func (d *device) Public() *sm.PublicKey { return d.k.Public() }

func (d *device) Sign(rand io.Reader, uid, msg []byte) (sm.Signature, error) {
	if d.fail {
		return sm.Signature{}, errors.New("no card")
	}
	return d.p.Sign(rand, d.k, uid, msg)
}

func TestKeyInADevice(t *testing.T) {
	p, err := sm.New("")
	if err != nil {
		t.Fatal(err)
	}
	var pair [2]*sm.PrivateKey
	for i := range pair {
		if pair[i], err = sm.GenerateKey(rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	dev := &device{p: p, k: pair[0]}
	ours := Party{AppID: "0123456789ABCDEF", AppSecret: "secret", Signer: dev, Verify: []*sm.PublicKey{pair[1].Public()}}
	theirs := Party{AppID: ours.AppID, AppSecret: "secret", Sign: pair[1], Verify: []*sm.PublicKey{pair[0].Public()}}
	for _, name := range []string{"mpc", "epc"} {
		a, err := New(name, ours, Options{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := New(name, theirs, Options{})
		if err != nil {
			t.Fatal(err)
		}
		dev.fail = false
		sealed, err := a.Seal(rand.Reader, moment(), []byte(`{"a":"1"}`))
		if err != nil {
			t.Fatal(err)
		}
		if data, _, err := b.Open(sealed.Body); err != nil || string(data) != `{"a":"1"}` {
			t.Errorf("%s: %s %v", name, data, err)
		}
		dev.fail = true
		var r *Refusal
		if _, err := a.Seal(rand.Reader, moment(), []byte(`{"a":"1"}`)); !errors.As(err, &r) || r.Code != "sign" {
			t.Errorf("%s: a device that is away: %v", name, err)
		}
	}
	if _, err := New("mpc", Party{AppID: ours.AppID, AppSecret: "s", Signer: &device{p: p, k: &sm.PrivateKey{}}, Verify: ours.Verify}, Options{}); !errors.Is(err, ErrConfig) {
		t.Errorf("a device without a key: %v", err)
	}
}
