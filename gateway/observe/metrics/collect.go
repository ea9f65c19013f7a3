package metrics

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// desc describes one metric; the names are kept.
func desc(name, help string, labels ...string) *prometheus.Desc {
	d := prometheus.NewDesc("yiqiao_"+name, help, labels, nil)
	return d
}

var (
	dInfo         = desc("info", "1; which program this is", "version", "gateway")
	dTransactions = desc("transactions_total", "messages sent to a centre, by what became of them", "centre", "infno", "outcome", "cause")
	dTook         = desc("transaction_seconds", "from sending to the last byte of the answer", "centre", "infno")
	dCalls        = desc("calls_total", "calls of HIS systems, by hundreds of the status", "method", "route", "status")
	dCallTook     = desc("call_seconds", "from the first line of a call to its answer", "method", "route")
	dRefused      = desc("refusals_total", "calls that were refused, by code", "code")

	dBreaker     = desc("centre_breaker", "1 for the state the breaker is in", "centre", "state")
	dInFlight    = desc("centre_in_flight", "messages under way", "centre")
	dMaxInFlight = desc("centre_in_flight_max", "messages that may be under way", "centre")
	dHeldOff     = desc("centre_not_admitted_total", "messages held off before anything was written", "centre", "reason")
	dLastAnswer  = desc("centre_last_answer_timestamp_seconds", "when the centre last gave a verified answer", "centre")
	dSkew        = desc("centre_clock_skew_seconds", "how far the centre's clock is ahead of ours", "centre")

	dOpen       = desc("open_transactions", "real-time transactions without a known end, by state", "institution", "state")
	dOpenOldest = desc("open_oldest_seconds", "age of the oldest of them", "institution", "state")
	dUploads    = desc("uploads_waiting", "queued uploads that are not finished, without those set aside", "infno", "state")
	dUploadAge  = desc("uploads_oldest_seconds", "age of the oldest of them", "infno", "state")
	dDead       = desc("dead_letters", "queued uploads set aside for a person", "infno")
	dDeadAge    = desc("dead_letters_oldest_seconds", "age of the oldest of them", "infno")
	dDeliveries = desc("deliveries_waiting", "final answers that are to be brought to a HIS", "system")
	dDeliverAge = desc("deliveries_oldest_seconds", "age of the oldest of them", "system")
	dQueue      = desc("queue_trouble", "1 while the queue of uploads does not work", "kind")

	dHealthy    = desc("journal_healthy", "1 when the journal takes writes")
	dLooked     = desc("journal_looked_timestamp_seconds", "when the journal was last looked at for these figures")
	dOperations = desc("journal_operations_total", "writes made durable")
	dCommits    = desc("journal_commits_total", "commits; operations divided by commits is the batch")
	dRollbacks  = desc("journal_rollbacks_total", "commits that were undone")
	dSyncs      = desc("journal_syncs_total", "flushes of the disk")

	dSignIns  = desc("sign_ins", "operators signed in at the centre", "institution")
	dExpiry   = desc("expiry_days", "days until a certificate or key ends, below zero once it has", "kind", "name")
	dNotTaken = desc("certificate_not_taken", "1 while the files of a listener's certificate hold one that can not be used; the one before is", "name")
	dDegraded = desc("degraded", "1 while something beside the desk fails; /healthz says what")
)

// Names lists the metrics a gateway may show, without those of the Go runtime. Histograms have _bucket,
// _sum and _count behind their name.
func Names() []string {
	var list []string
	for _, d := range []*prometheus.Desc{dInfo, dTransactions, dTook, dCalls, dCallTook, dRefused, dBreaker, dInFlight, dMaxInFlight, dHeldOff,
		dLastAnswer, dSkew, dOpen, dOpenOldest, dUploads, dUploadAge, dDead, dDeadAge, dDeliveries, dDeliverAge, dQueue, dHealthy, dLooked,
		dOperations, dCommits, dRollbacks, dSyncs, dSignIns, dExpiry, dNotTaken, dDegraded} {
		_, after, _ := strings.Cut(d.String(), `fqName: "`)
		name, _, _ := strings.Cut(after, `"`)
		list = append(list, name)
	}
	return list
}

// Describe implements prometheus.Collector: what is shown is known only when it is.
func (m *Metrics) Describe(chan<- *prometheus.Desc) {}

// sending puts one value.
type sending chan<- prometheus.Metric

func (s sending) gauge(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
}

func (s sending) count(d *prometheus.Desc, v float64, labels ...string) {
	s <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
}

func (s sending) flag(d *prometheus.Desc, on bool, labels ...string) {
	v := 0.0
	if on {
		v = 1
	}
	s.gauge(d, v, labels...)
}

func (s sending) histogram(d *prometheus.Desc, h *histogram, labels ...string) {
	buckets, n := make(map[float64]uint64, len(bounds)), uint64(0)
	for i, b := range bounds {
		n += h.counts[i].Load()
		buckets[b] = n
	}
	n += h.counts[len(bounds)].Load()
	s <- prometheus.MustNewConstHistogram(d, n, time.Duration(h.nanos.Load()).Seconds(), buckets, labels...)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	s := sending(ch)
	s.gauge(dInfo, 1, m.o.Version, m.o.Name)
	m.mu.Lock()
	lines := slices.Clone(m.lines)
	m.mu.Unlock()
	for _, l := range lines {
		for n, one := range l.by {
			one.send(s, l.name, string(n))
		}
		l.other.send(s, l.name, "other")
	}
	for k, c := range *m.calls.Load() {
		for i := range c.by {
			if n := c.by[i].Load(); n > 0 {
				s.count(dCalls, float64(n), k.method, k.route, string(rune('0'+i))+"xx")
			}
		}
		s.histogram(dCallTook, &c.took, k.method, k.route)
	}
	for code, n := range m.refused {
		if n := n.Load(); n > 0 {
			s.count(dRefused, float64(n), string(code))
		}
	}
	if n := m.other.Load(); n > 0 {
		s.count(dRefused, float64(n), "other")
	}
	now := m.o.Clock.Now()
	m.picture(s, now)
	if t := m.sample.Load(); t != nil {
		s.gauge(dLooked, seconds(t.at))
		s.flag(dHealthy, t.Healthy)
		m.live(s, t.Live, now)
		for system, w := range t.Deliveries {
			s.gauge(dDeliveries, float64(w.Count), system)
			s.gauge(dDeliverAge, age(w.Oldest, now), system)
		}
	}
}

// send shows what was ever counted.
func (one *series) send(s sending, centre, infno string) {
	seen := false
	for o := range one.ended {
		for c := range one.ended[o] {
			if n := one.ended[o][c].Load(); n > 0 {
				seen = true
				s.count(dTransactions, float64(n), centre, infno, gateway.Outcome(o).String(), string(causes[c]))
			}
		}
	}
	if seen {
		s.histogram(dTook, &one.took, centre, infno)
	}
}

func (m *Metrics) picture(s sending, now time.Time) {
	p := m.o.Picture()
	for _, c := range p.Centres {
		for _, state := range []string{"closed", "half-open", "open"} {
			s.flag(dBreaker, c.Breaker == state, c.Name, state)
		}
		s.gauge(dInFlight, float64(c.InFlight), c.Name)
		s.gauge(dMaxInFlight, float64(c.MaxInFlight), c.Name)
		s.count(dHeldOff, float64(c.Busy), c.Name, "busy")
		s.count(dHeldOff, float64(c.Down), c.Name, "down")
		if !c.LastAnswer.IsZero() {
			s.gauge(dLastAnswer, seconds(c.LastAnswer), c.Name)
		}
		if c.SkewKnown {
			s.gauge(dSkew, c.Skew.Seconds(), c.Name)
		}
	}
	s.count(dOperations, float64(p.Journal.Operations))
	s.count(dCommits, float64(p.Journal.Commits))
	s.count(dRollbacks, float64(p.Journal.Rollbacks))
	s.count(dSyncs, float64(p.Journal.Syncs))
	for inst, n := range p.SignIns {
		s.gauge(dSignIns, float64(n), m.institution(inst))
	}
	for _, e := range p.Expiries {
		s.gauge(dExpiry, e.Until.Sub(now).Hours()/24, e.Kind, e.Name)
		if e.Listener {
			s.flag(dNotTaken, e.Trouble, e.Name)
		}
	}
	if p.Queue != nil {
		s.flag(dQueue, p.Queue.Trouble != "", p.Queue.Kind)
	}
	s.flag(dDegraded, p.Degraded)
}

// pair is two labels.
type pair struct{ a, b string }

// live shows what is not finished: of every institution each state, so that a figure that is gone is 0.
func (m *Metrics) live(s sending, list []Live, now time.Time) {
	open, uploads, dead := map[pair]Waiting{}, map[pair]Waiting{}, map[string]Waiting{}
	for inst := range m.insts {
		for _, state := range []gateway.State{gateway.StateSent, gateway.StateUnknown, gateway.StateParked} {
			open[pair{string(inst), string(state)}] = Waiting{}
		}
	}
	for _, l := range list {
		switch {
		case !l.Queued:
			k := pair{m.institution(l.Institution), string(l.State)}
			open[k] = open[k].and(l.Waiting)
		case l.State == gateway.StateParked:
			n := m.infno(l.Infno)
			dead[n] = dead[n].and(l.Waiting)
		default:
			k := pair{m.infno(l.Infno), string(l.State)}
			uploads[k] = uploads[k].and(l.Waiting)
		}
	}
	for k, w := range open {
		s.gauge(dOpen, float64(w.Count), k.a, k.b)
		s.gauge(dOpenOldest, age(w.Oldest, now), k.a, k.b)
	}
	for k, w := range uploads {
		s.gauge(dUploads, float64(w.Count), k.a, k.b)
		s.gauge(dUploadAge, age(w.Oldest, now), k.a, k.b)
	}
	for _, n := range slices.Sorted(maps.Keys(dead)) {
		s.gauge(dDead, float64(dead[n].Count), n)
		s.gauge(dDeadAge, age(dead[n].Oldest, now), n)
	}
}

func (w Waiting) and(o Waiting) Waiting {
	w.Count += o.Count
	if w.Oldest.IsZero() || o.Oldest.Before(w.Oldest) && !o.Oldest.IsZero() {
		w.Oldest = o.Oldest
	}
	return w
}

func (m *Metrics) institution(i ident.Institution) string {
	if m.insts[i] {
		return string(i)
	}
	return "other"
}

func (m *Metrics) infno(n ident.Infno) string {
	if m.infnos[n] {
		return string(n)
	}
	return "other"
}

func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func age(t, now time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return max(0, now.Sub(t).Seconds())
}
