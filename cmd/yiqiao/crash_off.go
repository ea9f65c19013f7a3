//go:build !crashpoints || !unix

package main

import (
	"yiqiao/gateway"
	"yiqiao/gateway/invoice"
)

// crashJournal and the others are where the kill tests (build tag crashpoints) stand in the way.
func crashJournal(j gateway.Journal) gateway.Journal { return j }
func crashCentre(c gateway.Centre) gateway.Centre    { return c }

func crashBook(b invoice.Book) invoice.Book                           { return b }
func crashPlatform(p gateway.InvoicePlatform) gateway.InvoicePlatform { return p }
