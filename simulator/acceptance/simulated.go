package acceptance

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/crypto/sm"
	"yiqiao/schemas/catalog"
	"yiqiao/simulator/centre"
	"yiqiao/simulator/invoice"
)

// Simulation is a simulated centre in this process, with the centres beside it, and the ways to them.
type Simulation struct {
	Target   *Client
	Services map[string]Target
	Centre   *centre.Centre
}

// SimulationOptions say how; Catalog, Rand and Now are needed.
type SimulationOptions struct {
	Catalog  *catalog.Catalog
	Profile  string  // none or mpc
	Preset   *Preset // how an area speaks, instead of Profile; nil: Profile says it
	Provider sm.Provider
	Rand     io.Reader
	Now      func() time.Time
	Bend     func(http.Handler) http.Handler // changes the core centre; nil: it stays as it is
}

// transportFacts are what both ends of a simulated line know.
var transportFacts = map[string]envelope.TransportConfig{
	"tif": {PaasID: "yiqiao", Token: "acceptance"},
	"csb": {APIName: "hssServives", APIVersion: "1.0.0", AccessKey: "yiqiao", SecretKey: "acceptance"},
}

// Simulate starts nothing: the centres answer as handlers of this process. The keys are made from Rand. Close the Centre when done.
func Simulate(o SimulationOptions) (*Simulation, error) {
	transport, region, perInfno := "plain", centre.Region{RequireSign: true}, false
	if o.Profile == "mpc" {
		transport = "tif" // caller headers as well, so that their absence can be tried
	}
	if p := o.Preset; p != nil {
		o.Profile, transport, perInfno = p.Envelope, p.Transport, p.URLStyle == "per-infno"
		region = centre.Region{RequireSign: p.SignIn, AskByVisit: p.AskByVisit, FundIncludesAccount: p.FundIncludesAccount, SettleBeforeDischarge: p.Order == "settle-first"}
	}
	if !slices.Contains([]string{"none", "mpc"}, o.Profile) {
		return nil, fmt.Errorf("profile %q: none, mpc", o.Profile)
	}
	var k [3]*sm.PrivateKey // hospital, centre, somebody else
	for i := range k {
		var err error
		if k[i], err = sm.GenerateKey(o.Rand); err != nil {
			return nil, err
		}
	}
	var failed error
	line := func(name string, own, peer *sm.PrivateKey) envelope.Profile {
		p, err := envelope.New(name, envelope.Party{AppID: "YIQIAOACCEPTANCE", AppSecret: "acceptance run", Sign: own, Verify: []*sm.PublicKey{peer.Public()}}, envelope.Options{Provider: o.Provider})
		if err != nil {
			failed = err
		}
		return p
	}
	c := &Client{URL: "http://simulator/fsi/api", Rand: o.Rand, Now: o.Now, Seals: o.Profile != "none", PerInfno: perInfno, Profile: line(o.Profile, k[0], k[1])}
	co := centre.Options{Catalog: o.Catalog, Now: o.Now, Rand: o.Rand, Region: region, Mobile: &centre.Line{Profile: line("mpc", k[1], k[0])}, Prescription: &centre.Line{Profile: line("epc", k[1], k[0])}}
	if c.Seals {
		c.Stranger, co.Profile = line(o.Profile, k[2], k[1]), line(o.Profile, k[1], k[0])
	}
	mobile, rx := line("mpc", k[0], k[1]), line("epc", k[0], k[1])
	if transport != "plain" {
		t, err := envelope.NewTransport(transport, transportFacts[transport])
		if err != nil {
			return nil, err
		}
		c.Transport, c.Stamps, co.Transport = t, true, t
	}
	if failed != nil {
		return nil, failed
	}
	sim, err := centre.New(co)
	if err != nil {
		return nil, err
	}
	methods, err := Methods()
	if err != nil {
		return nil, err
	}
	platform, err := invoice.New(invoice.Options{AppID: "YIQIAO", Key: "acceptance", Now: o.Now, PublicURL: "http://simulator"})
	if err != nil {
		return nil, err
	}
	h := sim.Handler()
	plain := Local(h)
	if o.Bend != nil {
		h = o.Bend(h)
	}
	c.HTTP = Local(h)
	service := func(name string, p envelope.Profile) Target {
		return &Service{Methods: methods[name], Client: &Client{URL: "http://simulator", Rand: o.Rand, Now: o.Now, Seals: true, HTTP: plain, Profile: p}}
	}
	return &Simulation{Target: c, Centre: sim, Services: map[string]Target{
		"mobile": service("mobile", mobile), "prescription": service("prescription", rx),
		"einvoice": &Invoices{URL: "http://simulator/medical-web/api/medical", AppID: "YIQIAO", Key: "acceptance", Rand: o.Rand, HTTP: Local(platform.Handler())},
	}}, nil
}
