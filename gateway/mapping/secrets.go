package mapping

import "yiqiao/gateway"

// Secrets are the texts of s that this definition takes for a patient's credential, whatever event s is and
// whether or not the rest can be mapped: what every rule that fills a credential finds, at any of its places, in the
// whole of s. Each once.
func (d *Definition) Secrets(s gateway.Source) []string {
	seen := map[string]bool{}
	var out []string
	add := func(v string) {
		if v = trim(v); v != "" && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	for _, r := range d.rules {
		if r.leaf.hide != hideCredential {
			continue
		}
		for _, p := range r.from {
			for _, v := range p.All(s.Scope) {
				add(v)
			}
		}
		if r.expr == nil {
			continue
		}
		if v, ok, err := r.expr.value(s.Scope); ok && err == nil {
			add(v)
		}
		for _, p := range r.expr.single {
			for _, v := range p.All(s.Scope) {
				add(v)
			}
		}
	}
	return out
}

// Secrets are those of the definition in force.
func (l *Live) Secrets(s gateway.Source) []string { return l.Current().Secrets(s) }
