// Package codes answers what a dictionary value means: insurance types, medical categories,
// certificate types and the other tables of spec/dictionaries.json.
//
// A table may hold fewer codes than a province really uses: Known tells whether a table is
// complete enough to refuse an unlisted value.
package codes

// Meaning says what is known of one value of one dictionary.
type Meaning uint8

const (
	Unknown  Meaning = iota // not listed
	National                // listed nationally, or an alias of such a value
	Local                   // listed for some region or product only
	NoTable                 // the dictionary is a stub or does not exist: nothing can be said
)
