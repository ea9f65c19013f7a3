// Package rest is the HTTP door of the gateway: what a HIS calls.
//
// It knows HTTP and JSON and nothing of insurance. A call is authenticated, read strictly, put
// into one of the structs of gateway.Desk and handed over; what the desk says is written back.
// Everything a client can get wrong ends in a problem document, and nothing a client can send
// ends in a 5xx answer or a crash.
//
// # Routes
//
//	POST /api/v1/transactions/{infno}        one real-time transaction
//	GET  /api/v1/transactions/{id}           where it stands
//	POST /api/v1/uploads/{infno}             queue one upload: 202, id and Location
//	POST /api/v1/settlements                 a bill, up to the trial settlement: 201
//	POST /api/v1/settlements/{id}/confirm    settle it
//	POST /api/v1/settlements/{id}/refund     undo it
//	GET  /api/v1/settlements/{id}            where it stands
//	POST /api/v1/stays                       an admission: 201
//	POST /api/v1/stays/{id}/fees, /discharge, /settle, /refund
//	GET  /api/v1/stays/{id}                  where it stands
//	POST /api/v1/einvoices                   the electronic invoice of a settlement: 201
//	POST /api/v1/einvoices/{id}/reverse, /paper, /deliver
//	GET  /api/v1/einvoices/{id}              where it stands
//	GET  /api/v1/settlements/{id}/einvoices  all bills of a settlement
//	GET  /api/v1/errors                      every error code with its words
//	GET  /openapi.json                       this interface, OpenAPI 3.1
//	GET  /healthz                            200 or 503 with the reason's code
//	GET  /                                   a short index
//
// The last four need no key.
//
// # What an answer means
//
// The outcome has three values and each has its own status. 2xx other than 202: it was done, the
// body says what. 4xx and 5xx: it was not done, except for "internal" (500), "request-in-progress"
// and "request-id-reused", which say nothing about the request's outcome: ask with the same id.
// 202: accepted or unknown; the Location tells where to ask, and the same request may be repeated
// under the same id as often as one likes. A refusal by the centre is the problem centre-refused
// whether the desk reports it as an error or as a stored transaction.
//
// # Request ids
//
// Each POST carries the HIS's own id, in the member request_id or in the header Idempotency-Key
// (bare or quoted), 1 to 64 characters of A-Z a-z 0-9 - _ . : and never both with different
// values. It is kept and logged in clear, so it must not be made of a person's number or name.
//
// # Bodies
//
// application/json in UTF-8, read by schemas/strictjson with the limits of strictjson.Request and
// bound by adapters/his/bind: duplicate and undeclared members, wrong types and missing members
// are refused with the JSON Pointer of the place. Amounts, prices and quantities may be written as
// a number or as text; the literal reaches the desk as it was written. Nothing in this package
// computes with an amount. Numbers of the centre's output leave as they came.
//
// # Problems
//
// Errors are RFC 9457 documents (Problem). code is one of gateway.Codes and permanent, reference
// names the call in the gateway's log. Words are Chinese, with the English beside them; with
// Accept-Language: en it is the other way round. The operator's detail of faults inside the
// gateway (addresses, storage) stays in the log.
//
// # Told
//
// A final answer that was written to a client still there is reported with Desk.Told, also when
// it was fetched by a GET. An outcome that may still change is not reported, nor are refusals
// that leave the request id free to be used again. Saying too little heals: the answer is given
// again to whoever asks.
//
// # Logging
//
// One line per call: method, route template, status, duration, system, request id, id, code and
// reference. No path, body, header, address or words of the centre. Refused calls are also given
// to Options.Refused for the audit record.
package rest
