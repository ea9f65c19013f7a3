package gateway

import (
	"context"

	"yiqiao/schemas/ident"
)

// Office is what the gateway's own work, reconciliation say, may ask of the desk.
type Office interface {
	// Own sends one transaction nobody outside asked for, on the way every transaction goes: written
	// down first, judged, kept. It is idempotent on (OwnSystem, RequestID) as Transact is. Only what
	// commits nothing, and uploads that may be sent again without harm, are taken; else CodeInfnoNotAllowed. The
	// output of a download is an object with the members FileBody and FileType. Inputs are not held
	// against the tables: areas rename members of them.
	Own(ctx context.Context, r Transact) (Transaction, error)
}

// Figures is an Office that knows what a settlement of a bill or a stay comes to where the reply's figures do not
// add up and the centre was asked for them again.
type Figures interface {
	// SettledOutput gives the output of a settlement that is done as it counts: the reply, or what the centre said
	// when it was asked, under the names of the reply.
	SettledOutput(ctx context.Context, id ident.MsgID) (any, error)
}

// OwnSystem is the system name of the gateway's own requests. No HIS may use it.
const OwnSystem = "yiqiao"

// Members of the output of a transaction that was answered with a file.
const (
	FileBody = "file"      // base64
	FileType = "file_type" // media type
)
