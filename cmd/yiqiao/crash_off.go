//go:build !crashpoints || !unix

package main

import "yiqiao/gateway"

// crashJournal and crashCentre are where the kill tests (build tag crashpoints) stand in the way.
func crashJournal(j gateway.Journal) gateway.Journal { return j }
func crashCentre(c gateway.Centre) gateway.Centre    { return c }
