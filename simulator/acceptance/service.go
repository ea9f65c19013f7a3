package acceptance

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/strictjson"
)

//go:embed services.yaml
var servicesText []byte

// Method is how one transaction of a centre beside the core one is called.
type Method struct {
	Path string `yaml:"path"` // behind the address of the service
	Node string `yaml:"node"` // the node that travels; "" for the whole input
}

// Methods reads the embedded table: service, number, method.
func Methods() (map[string]map[string]Method, error) {
	var m map[string]map[string]Method
	dec := yaml.NewDecoder(bytes.NewReader(servicesText))
	dec.KnownFields(true)
	if err := dec.Decode(&m); err != nil {
		return nil, fmt.Errorf("services.yaml: %w", err)
	}
	return m, nil
}

// Service is a Target whose messages are the data of a transaction, and whose path says which: mobile payment, prescriptions.
type Service struct {
	Client  *Client // URL is the address of the service
	Methods map[string]Method
}

// Spoils see Target.
func (s *Service) Spoils() []string { return s.Client.Spoils() }

// Signed see Target.
func (s *Service) Signed() bool { return s.Client.Signed() }

// Exchange see Target. What came back is given as the output of the transaction.
func (s *Service) Exchange(ctx context.Context, infno string, message []byte, how string) ([]byte, string, error) {
	m, ok := s.Methods[infno]
	if !ok {
		return nil, "", fmt.Errorf("%s: 不是这项服务的交易 / not of this service", infno)
	}
	if m.Node != "" {
		v, err := strictjson.Decode(message, strictjson.Request())
		if err != nil {
			return nil, "", err
		}
		inner, _ := at(v, m.Node)
		message = strictjson.Encode(inner)
	}
	c := *s.Client
	c.URL = strings.TrimSuffix(c.URL, "/") + "/" + m.Path
	reply, refusal, err := c.Exchange(ctx, infno, message, how)
	if err != nil || refusal != "" || m.Node == "" {
		return reply, refusal, err
	}
	v, err := strictjson.Decode(reply, strictjson.Reply())
	if err != nil {
		return nil, "", errors.New("答复不是 JSON / the answer is no JSON")
	}
	return strictjson.Encode(map[string]any{m.Node: v}), "", nil
}

// Invoices is a Target that is an e-invoice platform: what is sent is a method's name, its data travel in base64 under an MD5
// signature, and what it answers is its message.
type Invoices struct {
	URL        string // up to .../api/medical
	AppID, Key string
	HTTP       http.RoundTripper
	Rand       io.Reader
	Limit      time.Duration // zero: a minute
}

// Spoils see Target.
func (p *Invoices) Spoils() []string { return []string{"altered"} }

// Signed see Target.
func (p *Invoices) Signed() bool { return true }

type outer struct {
	AppID   string `json:"appid"`
	Data    string `json:"data"`
	Noise   string `json:"noise"`
	Version string `json:"version"`
	Sign    string `json:"sign"`
}

// Exchange see Target; how "altered" changes the data behind the signature.
func (p *Invoices) Exchange(ctx context.Context, method string, message []byte, how string) ([]byte, string, error) {
	limit := p.Limit
	if limit == 0 {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	var noise [16]byte
	if _, err := io.ReadFull(p.Rand, noise[:]); err != nil {
		return nil, "", err
	}
	q := outer{AppID: p.AppID, Data: base64.StdEncoding.EncodeToString(message), Noise: hex.EncodeToString(noise[:]), Version: "1.0"}
	q.Sign = envelope.EInvoiceSign(q.AppID, q.Data, q.Noise, p.Key, q.Version)
	if how == "altered" {
		q.Data = base64.StdEncoding.EncodeToString(append(bytes.Clone(message), ' '))
	}
	body, err := json.Marshal(q)
	if err != nil {
		return nil, "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.URL, "/")+"/"+method, bytes.NewReader(body))
	if err != nil {
		return nil, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := p.HTTP.RoundTrip(req)
	if err != nil {
		return nil, "", fmt.Errorf("连接失败 / no connection: %T", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply))
	onWire(ctx, Wire{URL: req.URL.String(), Request: body, Status: resp.StatusCode, Reply: text})
	if err != nil {
		return nil, "", errors.New("答复不完整 / the answer broke off")
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Sprintf("HTTP %d", resp.StatusCode), nil
	}
	return p.open(text)
}

// open verifies an answer and takes its message out.
func (p *Invoices) open(text []byte) ([]byte, string, error) {
	var a outer
	if err := json.Unmarshal(text, &a); err != nil {
		return nil, "", errors.New("答复不是 JSON / the answer is no JSON")
	}
	if a.Sign != envelope.EInvoiceSign(a.AppID, a.Data, a.Noise, p.Key, a.Version) || a.AppID != p.AppID {
		return nil, "", errors.New("答复无法验证 / the answer does not verify")
	}
	data, err := base64.StdEncoding.DecodeString(a.Data)
	var in struct {
		Result  string `json:"result"`
		Message string `json:"message"`
	}
	if err == nil {
		err = json.Unmarshal(data, &in)
	}
	if err != nil {
		return nil, "", errors.New("答复没有内容 / the answer is empty")
	}
	message, err := base64.StdEncoding.DecodeString(in.Message)
	if err != nil {
		return nil, "", errors.New("答复没有内容 / the answer is empty")
	}
	if in.Result != "S0000" {
		return nil, in.Result + " " + string(message), nil
	}
	if !json.Valid(message) {
		return strictjson.Encode(string(message)), "", nil
	}
	return message, "", nil
}
