package centre

import (
	"bytes"
	"net/http"
	"testing"

	"yiqiao/gateway"
)

// A download may be answered with a file; what only looks like one, or belongs to a message that
// takes none, stays unknown.
func TestClassifyFile(t *testing.T) {
	zip := []byte("PK\x03\x04 and so on")
	for name, c := range map[string]struct {
		status  int
		media   string
		body    []byte
		outcome gateway.Outcome
		file    bool
	}{
		"a file":              {200, "application/octet-stream", zip, gateway.OutcomeDone, true},
		"a zip, with charset": {200, "application/zip; charset=UTF-8", zip, gateway.OutcomeDone, true},
		"no media type":       {200, "", zip, gateway.OutcomeUnknown, false},
		"a web page":          {200, "text/html", []byte("<html>"), gateway.OutcomeUnknown, false},
		"nothing":             {200, "application/octet-stream", nil, gateway.OutcomeUnknown, false},
		"an error status":     {500, "application/octet-stream", zip, gateway.OutcomeUnknown, false},
		"too long":            {200, "application/zip", bytes.Repeat([]byte("P"), maxFile+1), gateway.OutcomeUnknown, false},
		"a refusal":           {200, "application/octet-stream", []byte(`{"Word":"good","Data":{"infcode":-1,"err_msg":"x"}}`), gateway.OutcomeRefused, false},
		"a forged message":    {200, "application/octet-stream", []byte(`{"Word":"bad","Data":{"infcode":0}}`), gateway.OutcomeUnknown, false},
	} {
		h := http.Header{"Content-Type": {c.media}}
		v := classifyFile(stampProfile{}, false, c.status, h, c.body)
		if v.outcome != c.outcome || (v.file != nil) != c.file {
			t.Errorf("%s: %s, file %v (%s)", name, v.outcome, v.file != nil, v.detail)
		}
		if c.file && (!bytes.Equal(v.file, c.body) || !v.reply.OK() || v.health != healthy) {
			t.Errorf("%s: %+v", name, v)
		}
		if other := classify(stampProfile{}, false, c.status, h, c.body); other.outcome == gateway.OutcomeDone {
			t.Errorf("%s: an ordinary message is done by it", name)
		}
	}
}
