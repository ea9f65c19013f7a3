package centre

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"strconv"
	"strings"
	"unicode"

	"yiqiao/crypto/envelope"
	"yiqiao/schemas/ident"
	"yiqiao/schemas/strictjson"
)

// Multipart makes the message that carries a file travel as multipart/form-data: the file in one part,
// the message without it in another. A few centres want it so. There is no envelope around it.
type Multipart struct {
	Infno        ident.Infno // the transaction that carries a file
	Node         string      // of its input
	Member       string      // the file: base64 text, or an array of bytes with or without a sign
	Name         string      // the member with the file's name
	FileField    string      // names of the two parts
	MessageField string
}

var errFilePart = errors.New("the message carries no file that could be sent by itself")

// build takes the file out of the core message body. rand makes the boundary.
func (m *Multipart) build(rand io.Reader, body []byte) (envelope.Sealed, error) {
	v, err := strictjson.Decode(body, strictjson.Request())
	if err != nil {
		return envelope.Sealed{}, err
	}
	node, ok := strictjson.Object(strictjson.Get(v, "input", m.Node))
	if !ok {
		return envelope.Sealed{}, errFilePart
	}
	file, err := fileOf(node[m.Member])
	if err != nil {
		return envelope.Sealed{}, err
	}
	name := strictjson.Text(node[m.Name])
	if name == "" || strings.ContainsAny(name, "/\\\"") || strings.ContainsFunc(name, unicode.IsControl) {
		return envelope.Sealed{}, fmt.Errorf("%w: its name can not stand in a header", errFilePart)
	}
	delete(node, m.Member)
	var boundary [16]byte
	if _, err := io.ReadFull(rand, boundary[:]); err != nil {
		return envelope.Sealed{}, err
	}
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	part := func(disposition, media string, content []byte) {
		if err != nil {
			return
		}
		var p io.Writer
		if p, err = w.CreatePart(textproto.MIMEHeader{"Content-Disposition": {disposition}, "Content-Type": {media}}); err == nil {
			_, err = p.Write(content)
		}
	}
	err = w.SetBoundary(hex.EncodeToString(boundary[:]))
	part(`form-data; name="`+m.MessageField+`"`, "application/json; charset=utf-8", strictjson.Encode(v))
	part(`form-data; name="`+m.FileField+`"; filename="`+name+`"`, "application/octet-stream", file)
	if err = errors.Join(err, w.Close()); err != nil {
		return envelope.Sealed{}, err
	}
	return envelope.Sealed{Body: out.Bytes(), ContentType: w.FormDataContentType()}, nil
}

// fileOf reads a file as it stands in a message.
func fileOf(v any) ([]byte, error) {
	switch v := v.(type) {
	case string:
		if b, err := base64.StdEncoding.DecodeString(v); err == nil && len(b) > 0 {
			return b, nil
		}
	case []any:
		b := make([]byte, len(v))
		for i, one := range v {
			literal, ok := one.(json.Number)
			n, err := strconv.Atoi(string(literal))
			if !ok || err != nil || n < -128 || n > 255 {
				return nil, errFilePart
			}
			b[i] = byte(n)
		}
		if len(b) > 0 {
			return b, nil
		}
	}
	return nil, errFilePart
}

// token reports whether s can be the name of a part.
func token(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") == ""
}
