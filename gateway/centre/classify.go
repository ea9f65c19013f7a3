package centre

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
	"yiqiao/gateway"
	"yiqiao/schemas/strictjson"
	"yiqiao/schemas/wire"
)

// verdict is what an answer, or its absence, means.
type verdict struct {
	outcome gateway.Outcome
	cause   gateway.Cause
	reply   wire.Reply
	file    []byte // the answer, when it is a file
	media   string
	detail  string
	health  health
	// evidence is what the centre signed, when it was wanted and there is a signature.
	evidence []byte
	checking time.Duration
	stamp    time.Time // when a verified reply says it was written
}

// health is what an attempt says of the centre as a whole, for the breaker.
type health uint8

const (
	sick    health = iota // the zero value on purpose
	healthy               // an answer of the interface, whatever it says
	unclear               // the fault may lie in this one message
)

// classify says what a whole HTTP answer means. Done needs status 200 and a verified reply with
// infcode 0; a verified reply with another whole number is a business refusal; everything else
// leaves the outcome unknown, also a status that looks like a refusal: what answered may stand in
// front of a centre that was handed the message. It never panics and keeps nothing of body in
// detail. want asks for the evidence of a signature.
func classify(p envelope.Profile, want bool, status int, header http.Header, body []byte) verdict {
	body, v, ok := wholeObject(status, header, body)
	if !ok {
		return v
	}
	data, head, evidence, err := openReply(p, want, body)
	if err != nil {
		return unverified(err, head)
	}
	v = classifyData(data, head)
	v.stamp, v.evidence = replyTime(head), evidence
	return v
}

// openReply is Profile.OpenReply, with what was signed where it is wanted.
func openReply(p envelope.Profile, want bool, body []byte) (data []byte, head envelope.Head, evidence []byte, err error) {
	w, can := p.(envelope.Witness)
	if !want || !can {
		data, head, err = p.OpenReply(body)
		return data, head, nil, err
	}
	data, head, e, err := w.OpenReplyEvidence(body)
	if err == nil && e != nil {
		evidence = e.Append(make([]byte, 0, len(e.Text)+320))
	}
	return data, head, evidence, err
}

// wholeObject gives the JSON object of an answer that is one; otherwise v says what it is.
func wholeObject(status int, header http.Header, body []byte) (object []byte, v verdict, ok bool) {
	if status != http.StatusOK {
		v := foreign(fmt.Sprintf("status %d, %s", status, mediaType(header)))
		if aboutMessage(status) {
			v.health = unclear
		}
		return nil, v, false
	}
	if enc := header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, foreign("content encoding " + printable(enc)), false
	}
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) // some servers begin with a byte order mark
	if !startsObject(body) {
		return nil, foreign(fmt.Sprintf("no JSON object, %s", mediaType(header))), false
	}
	return body, verdict{}, true
}

// classifyData does so for the data of a verified reply.
func classifyData(data []byte, head envelope.Head) verdict {
	reply, err := wire.DecodeReply(data)
	if err != nil {
		v := foreign(jsonFault(err))
		if head.Code != "" && head.Code != "0" {
			// The platform in front of the centre refused: a wrong key, a clock that is off.
			v.detail = "outer code " + printable(head.Code) + ": keys, application id or clock"
		}
		return v
	}
	outerOK := head.Code == "" || head.Code == "0"
	switch {
	case reply.InfCode == "0" && outerOK:
		return verdict{outcome: gateway.OutcomeDone, reply: reply, health: healthy}
	case reply.InfCode == "0":
		return foreign("infcode 0 under outer code " + printable(head.Code))
	case refusal(reply.InfCode):
		return verdict{outcome: gateway.OutcomeRefused, cause: gateway.CauseBusiness, reply: reply,
			detail: "infcode " + printable(reply.InfCode), health: healthy}
	}
	return foreign("infcode " + printable(reply.InfCode))
}

// classifyFile does so for a message that may be answered with a file. Such an answer carries no
// signature, whatever the profile: the line and the connection vouch for it, and it commits nothing. A
// body that reads as an object is a message and must verify, whatever its media type says.
func classifyFile(p envelope.Profile, want bool, status int, header http.Header, body []byte) verdict {
	media := mediaType(header)
	if status != http.StatusOK || !fileType(media) || header.Get("Content-Encoding") != "" || len(body) == 0 || startsObject(body) {
		return classify(p, want, status, header, body)
	}
	if len(body) > maxFile {
		return foreign(fmt.Sprintf("a file of more than %d bytes", maxFile))
	}
	return verdict{outcome: gateway.OutcomeDone, reply: wire.Reply{InfCode: "0"}, file: body, media: media,
		detail: fmt.Sprintf("file of %d bytes", len(body)), health: healthy}
}

// maxFile bounds a file an answer may be; it is kept in the journal.
const maxFile = 16 << 20

// fileType lists the media types files come under.
func fileType(media string) bool {
	switch media {
	case "application/octet-stream", "application/zip", "application/x-zip-compressed", "application/x-download", "application/force-download":
		return true
	}
	return false
}

// unverified tells a text that is no message at all from a message that can not be trusted.
func unverified(err error, head envelope.Head) verdict {
	code := "unknown"
	if f := (*envelope.Fault)(nil); errors.As(err, &f) {
		code = printable(f.Code)
	}
	switch code {
	case "json", "duplicate", "utf8", "trailing", "empty":
		return foreign("envelope: " + code)
	}
	v := verdict{cause: gateway.CauseSignature, detail: "envelope does not verify: " + code}
	if head.Code != "" {
		v.detail += ", outer code " + printable(head.Code)
	}
	return v
}

func foreign(detail string) verdict {
	return verdict{cause: gateway.CauseNotInterface, detail: detail}
}

// aboutMessage lists the statuses by which a server finds fault with one request; they say nothing
// of its health.
func aboutMessage(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed,
		http.StatusNotAcceptable, http.StatusConflict, http.StatusGone,
		http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// refusal reports whether an infcode is a whole number other than zero. Another spelling of zero
// ("00", "-0") or a word is neither success nor refusal.
func refusal(code string) bool {
	digits := strings.TrimPrefix(code, "-")
	if len(digits) == 0 || len(digits) > 18 || strings.Trim(digits, "0") == "" {
		return false
	}
	return strings.Trim(digits, "0123456789") == ""
}

func startsObject(body []byte) bool {
	for _, c := range body {
		switch c {
		case ' ', '\t', '\r', '\n':
			continue
		}
		return c == '{'
	}
	return false
}

func jsonFault(err error) string {
	if e := (*strictjson.Error)(nil); errors.As(err, &e) {
		return printable(string(e.Kind))
	}
	if e := (*wire.FieldError)(nil); errors.As(err, &e) {
		return "member " + printable(e.Field) + ": " + printable(e.Rule)
	}
	return "no reply of the interface"
}

func mediaType(h http.Header) string {
	m, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil {
		return "no media type"
	}
	return printable(m)
}

// printable keeps a short foreign word fit for a log line.
func printable(s string) string {
	if len(s) > 60 {
		s = s[:60]
	}
	return strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f {
			return r
		}
		return '?'
	}, s)
}
