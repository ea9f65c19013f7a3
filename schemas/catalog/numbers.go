package catalog

import "slices"

// Numbers gives the numbers of persons and of visits that a decoded input or output names: directly,
// in a node, or in the first row of a node with rows. Credentials are never among them. Each once,
// in no particular order; rows behind the first are not looked at, they are of the same visit.
func (c *Catalog) Numbers(v any) (persons, visits []string) {
	top, ok := v.(map[string]any)
	if c == nil || !ok {
		return nil, nil
	}
	persons, visits = pick(top, c.persons, nil), pick(top, c.visits, nil)
	for _, node := range top {
		if rows, ok := node.([]any); ok && len(rows) > 0 {
			node = rows[0]
		}
		if m, ok := node.(map[string]any); ok {
			persons, visits = pick(m, c.persons, persons), pick(m, c.visits, visits)
		}
	}
	return persons, visits
}

func pick(m map[string]any, names, into []string) []string {
	for _, name := range names {
		if s, ok := m[name].(string); ok && s != "" && s != Redacted && !slices.Contains(into, s) {
			into = append(into, s)
		}
	}
	return into
}
