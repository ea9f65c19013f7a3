package centre

import (
	"net/http"
	"strings"
	"testing"

	"yiqiao/gateway"
)

const good0 = `{"Word":"good","Data":{"infcode":0,"output":{"n":1}}}`

func TestClassify(t *testing.T) {
	in := func(data string) string { return `{"Word":"good","Data":` + data + `}` }
	const (
		unknown = gateway.OutcomeUnknown
		foreign = gateway.CauseNotInterface
	)
	for name, c := range map[string]struct {
		status  int
		header  string // Content-Encoding
		body    string
		outcome gateway.Outcome
		cause   gateway.Cause
		health  health
	}{
		"done":                        {200, "", good0, gateway.OutcomeDone, "", healthy},
		"done, code as text":          {200, "", in(`{"infcode":"0"}`), gateway.OutcomeDone, "", healthy},
		"done, byte order mark":       {200, "", "\xef\xbb\xbf" + good0, gateway.OutcomeDone, "", healthy},
		"done, space around":          {200, "", " \r\n" + good0 + "\n", gateway.OutcomeDone, "", healthy},
		"done, outer code 0":          {200, "", `{"Word":"good","Code":"0","Data":{"infcode":0}}`, gateway.OutcomeDone, "", healthy},
		"done, identity encoding":     {200, "identity", good0, gateway.OutcomeDone, "", healthy},
		"refused":                     {200, "", in(`{"infcode":-1,"err_msg":"x"}`), gateway.OutcomeRefused, gateway.CauseBusiness, healthy},
		"refused, positive":           {200, "", in(`{"infcode":"9001"}`), gateway.OutcomeRefused, gateway.CauseBusiness, healthy},
		"refused, outer code agrees":  {200, "", `{"Word":"good","Code":"5","Data":{"infcode":-1}}`, gateway.OutcomeRefused, gateway.CauseBusiness, healthy},
		"outer code contradicts":      {200, "", `{"Word":"good","Code":"5","Data":{"infcode":0}}`, unknown, foreign, sick},
		"outer code without data":     {200, "", `{"Word":"good","Code":"5"}`, unknown, foreign, sick},
		"unsigned outer error":        {200, "", `{"Code":"5"}`, unknown, gateway.CauseSignature, sick},
		"does not verify":             {200, "", strings.Replace(good0, "good", "bad", 1), unknown, gateway.CauseSignature, sick},
		"infcode missing":             {200, "", in(`{"output":{}}`), unknown, foreign, sick},
		"infcode null":                {200, "", in(`{"infcode":null}`), unknown, foreign, sick},
		"infcode empty":               {200, "", in(`{"infcode":""}`), unknown, foreign, sick},
		"infcode true":                {200, "", in(`{"infcode":true}`), unknown, foreign, sick},
		"infcode in another node":     {200, "", in(`{"output":{"infcode":0}}`), unknown, foreign, sick},
		"infcode a word":              {200, "", in(`{"infcode":"success"}`), unknown, foreign, sick},
		"infcode another zero":        {200, "", in(`{"infcode":"00"}`), unknown, foreign, sick},
		"infcode minus zero":          {200, "", in(`{"infcode":"-0"}`), unknown, foreign, sick},
		"infcode a fraction":          {200, "", in(`{"infcode":0.0}`), unknown, foreign, sick},
		"infcode minus":               {200, "", in(`{"infcode":"-"}`), unknown, foreign, sick},
		"infcode spaced":              {200, "", in(`{"infcode":" 0"}`), unknown, foreign, sick},
		"infcode twice":               {200, "", in(`{"infcode":-1,"infcode":0}`), unknown, foreign, sick},
		"html":                        {200, "", "<html>200 OK</html>", unknown, foreign, sick},
		"empty":                       {200, "", "", unknown, foreign, sick},
		"blank":                       {200, "", " \n", unknown, foreign, sick},
		"text":                        {200, "", "infcode 0", unknown, foreign, sick},
		"an array":                    {200, "", "[" + good0 + "]", unknown, foreign, sick},
		"truncated JSON":              {200, "", good0[:len(good0)-3], unknown, foreign, sick},
		"two replies in one body":     {200, "", good0 + good0, unknown, foreign, sick},
		"two replies, line between":   {200, "", good0 + "\n" + good0, unknown, foreign, sick},
		"trailing byte":               {200, "", good0 + "}", unknown, foreign, sick},
		"invalid UTF-8":               {200, "", in("{\"infcode\":0,\"err_msg\":\"\xd6\xd0\"}"), unknown, foreign, sick},
		"compressed":                  {200, "gzip", good0, unknown, foreign, sick},
		"created":                     {201, "", good0, unknown, foreign, sick},
		"no content":                  {204, "", "", unknown, foreign, sick},
		"redirect":                    {302, "", "", unknown, foreign, sick},
		"bad request":                 {400, "", in(`{"infcode":-1}`), unknown, foreign, unclear},
		"not authorised":              {401, "", "", unknown, foreign, sick},
		"forbidden":                   {403, "", "", unknown, foreign, sick},
		"no such path":                {404, "", "", unknown, foreign, unclear},
		"request time-out":            {408, "", "", unknown, foreign, sick},
		"body too large for them":     {413, "", "", unknown, foreign, unclear},
		"too many":                    {429, "", "", unknown, foreign, sick},
		"server error with done body": {500, "", good0, unknown, foreign, sick},
		"bad gateway":                 {502, "", "<html>", unknown, foreign, sick},
		"unavailable":                 {503, "", "", unknown, foreign, sick},
		"gateway time-out":            {504, "", "", unknown, foreign, sick},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{"Content-Type": {"application/json"}}
			if c.header != "" {
				h.Set("Content-Encoding", c.header)
			}
			v := classify(stampProfile{}, false, c.status, h, []byte(c.body))
			if v.outcome != c.outcome || v.cause != c.cause {
				t.Errorf("%s/%q (%s), want %s/%q", v.outcome, v.cause, v.detail, c.outcome, c.cause)
			}
			if v.health != c.health {
				t.Errorf("says health %d of the centre, want %d", v.health, c.health)
			}
			if answered := v.health == healthy; answered != (v.reply.InfCode != "") {
				t.Errorf("reply %+v is set: want that only for verified answers", v.reply)
			}
		})
	}
}

// Nothing of what the peer sent comes into the detail, but for short codes and the media type.
func TestDetailHoldsNoBody(t *testing.T) {
	const secret = "999999199001011238"
	for _, body := range []string{secret, `{"` + secret + `":1`, `{"Word":"` + secret + `"}`, `{"Word":"good","Data":{"infcode":0,"err_msg":"` + secret + `}}`,
		`{"Word":"good","Data":{"infcode":-1,"err_msg":"` + secret + `"}}`} {
		for _, status := range []int{200, 500} {
			v := classify(stampProfile{}, false, status, http.Header{"Content-Type": {"text/html\n" + secret}}, []byte(body))
			if strings.Contains(v.detail, secret) {
				t.Errorf("detail %q holds what the peer sent", v.detail)
			}
		}
	}
}

func FuzzClassify(f *testing.F) {
	for _, s := range []string{good0, "", "<html>", `{"Word":"good","Data":{"infcode":"-1","err_msg":"x"}}`, good0 + good0,
		`{"Word":"good","Code":"7","Data":{"infcode":0}}`, `{"infcode":0}`, "\xef\xbb\xbf" + good0, `{"Word":"good","Data":{"infcode":1e3}}`} {
		f.Add(200, "application/json", []byte(s))
		f.Add(503, "text/html", []byte(s))
	}
	ps := profiles(f)
	f.Fuzz(func(t *testing.T, status int, media string, body []byte) {
		for _, p := range ps {
			v := classify(p, true, status, http.Header{"Content-Type": {media}}, body)
			switch v.outcome {
			case gateway.OutcomeDone:
				if status != 200 || v.reply.InfCode != "0" || v.cause != gateway.CauseNone {
					t.Fatalf("done from status %d, infcode %q", status, v.reply.InfCode)
				}
			case gateway.OutcomeRefused:
				if status != 200 || v.cause != gateway.CauseBusiness || !refusal(v.reply.InfCode) {
					t.Fatalf("refused from status %d, infcode %q, cause %q", status, v.reply.InfCode, v.cause)
				}
			default:
				if v.cause == gateway.CauseNone || v.reply.InfCode != "" || v.health == healthy {
					t.Fatalf("unknown without a cause, or with a reply: %+v", v)
				}
			}
			if len(v.detail) > 250 || strings.ContainsAny(v.detail, "\n\r") {
				t.Fatalf("detail %q is not one short line", v.detail)
			}
		}
	})
}
