package acceptance

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"yiqiao/crypto/envelope"
)

// maxReply bounds an answer, in bytes.
const maxReply = 16 << 20

// Client is a Target reached over HTTP.
type Client struct {
	URL       string
	PerInfno  bool // the number of the transaction follows the URL
	HTTP      http.RoundTripper
	Profile   envelope.Profile   // how bodies are protected
	Seals     bool               // Profile signs and encrypts; false for none
	Stranger  envelope.Profile   // the same with a key the centre does not know; nil: not tried
	Transport envelope.Transport // caller headers, or nil
	Stamps    bool               // Transport sets headers
	Rand      io.Reader
	Now       func() time.Time
	Limit     time.Duration // for one answer; zero: a minute
}

// Spoils see Target.
func (c *Client) Spoils() []string {
	var list []string
	if c.Seals {
		list = append(list, "unsigned", "altered", "stale", "replayed")
	}
	if c.Seals && c.Stranger != nil {
		list = append(list, "other-key")
	}
	if c.Stamps {
		list = append(list, "no-header")
	}
	return list
}

// Signed see Target.
func (c *Client) Signed() bool { return c.Seals }

// Exchange see Target.
func (c *Client) Exchange(ctx context.Context, infno string, message []byte, how string) ([]byte, string, error) {
	limit := c.Limit
	if limit == 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	by, now := c.Profile, c.Now()
	switch how {
	case "other-key":
		by = c.Stranger
	case "stale":
		now = now.Add(-24 * time.Hour)
	}
	body, media := message, "application/json"
	if c.Seals {
		sealed, err := by.Seal(c.Rand, now, message)
		if errors.Is(err, envelope.ErrSeal) && how == "" {
			sealed, err = envelope.Sealed{Body: message, ContentType: media}, nil // no message: it goes as it is
		}
		if err != nil {
			return nil, "", err
		}
		body, media = sealed.Body, sealed.ContentType
	}
	switch how {
	case "unsigned":
		body = cut(body, `"signData":"`)
	case "altered":
		body = bytes.Replace(body, []byte(`"encData":"`), []byte(`"encData":"00000000000000000000000000000000`), 1)
	}
	if how == "replayed" {
		if _, _, err := c.post(ctx, infno, body, media, now, how); err != nil {
			return nil, "", err
		}
	}
	return c.post(ctx, infno, body, media, now, how)
}

// cut empties a text member of a flat JSON message.
func cut(body []byte, from string) []byte {
	i := bytes.Index(body, []byte(from))
	if i < 0 {
		return body
	}
	i += len(from)
	j := bytes.IndexByte(body[i:], '"')
	if j < 0 {
		return body
	}
	return append(bytes.Clone(body[:i]), body[i+j:]...)
}

func (c *Client) post(ctx context.Context, infno string, body []byte, media string, now time.Time, how string) ([]byte, string, error) {
	to := c.URL
	if c.PerInfno {
		to = strings.TrimSuffix(to, "/") + "/" + infno
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", media)
	if c.Transport != nil && how != "no-header" {
		if err := c.Transport.Stamp(c.Rand, now, req.Header, body); err != nil {
			return nil, "", err
		}
	}
	resp, err := c.HTTP.RoundTrip(req)
	if err != nil {
		onWire(ctx, Wire{URL: to, Request: body})
		if errors.Is(err, context.DeadlineExceeded) {
			return nil, "", errors.New("超过时限没有答复 / no answer within the limit")
		}
		var cert *tls.CertificateVerificationError
		if errors.As(err, &cert) {
			return nil, "", errors.New("对方的证书不可信 / the certificate is not trusted")
		}
		return nil, "", fmt.Errorf("连接失败 / no connection: %T", err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	onWire(ctx, Wire{URL: to, Request: body, Status: resp.StatusCode, Reply: reply})
	switch {
	case err != nil:
		return nil, "", errors.New("答复不完整 / the answer broke off")
	case len(reply) > maxReply:
		return nil, "", errors.New("答复过大 / the answer is too large")
	case resp.StatusCode >= 300 && resp.StatusCode < 400:
		return nil, "", fmt.Errorf("HTTP %d: 不跟随跳转 / redirects are not followed", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Sprintf("HTTP %d", resp.StatusCode), nil
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/octet-stream") {
		return reply, "", nil // a file goes out as it is
	}
	if strings.HasPrefix(strings.TrimSpace(string(reply[:min(len(reply), 100)])), "<") {
		return nil, "", errors.New("答复是网页, 不是 JSON / the answer is HTML")
	}
	data, head, err := c.Profile.OpenReply(reply)
	switch {
	case err == nil && data != nil:
		return data, "", nil
	case head.Code != "" && head.Code != "0":
		return nil, "code " + head.Code, nil
	case err != nil:
		return nil, "", errors.New("答复无法验证 / the answer does not verify")
	}
	return nil, "", errors.New("答复没有内容 / the answer is empty")
}
