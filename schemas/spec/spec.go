// Package spec holds the published tables of the interface as data files, untouched by code.
//
// transactions/NNNN.json is one transaction each, dictionaries.json the code tables and
// envelope.json the outer message. FORMAT.md explains every key, among them the confidence and
// the sources each table carries. Package catalog and package codes read these files; nothing
// else should.
package spec

import "embed"

// FS holds transactions/*.json, dictionaries.json and envelope.json.
//
//go:embed transactions/*.json dictionaries.json envelope.json
var FS embed.FS
