// Package soap takes XML from a HIS, in a SOAP 1.1 or 1.2 envelope or plain, and hands what a mapping
// makes of it to the desk.
//
// The text may be UTF-8, GBK or GB18030, declared or not. A document type declaration is refused
// whatever it holds, so that no entity, external or expanding, ever exists. A WSDL is served for
// clients that want one; its one operation takes and gives any XML.
package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// Limits of one document.
const (
	maxDepth    = 64
	maxElements = 200_000
)

// Node is an element of a document. Names are local: prefixes and namespaces are not looked at. It is
// not changed once the document is read.
type Node struct {
	Name     string
	Attrs    []xml.Attr
	Children []*Node
	Text     string // its own character data, trimmed
	space    string
}

// Error is what is wrong with a document. It holds nothing of the content.
type Error struct{ Rule, What string }

func (e *Error) Error() string { return "soap: " + e.Rule + ": " + e.What }

// Parse reads a document.
func Parse(b []byte) (*Node, error) {
	b, err := toUTF8(b)
	if err != nil {
		return nil, err
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict = true
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // it is UTF-8 by now
	var root *Node
	var open []*Node
	var texts [][]byte
	n := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			line, _ := d.InputPos()
			return nil, &Error{fmt.Sprintf("xml-syntax %d", line), "not well-formed"}
		}
		switch t := tok.(type) {
		case xml.Directive:
			return nil, &Error{"xml-doctype", "a document type declaration is not taken"}
		case xml.StartElement:
			if n++; n > maxElements || len(open) >= maxDepth {
				return nil, &Error{"xml-limits", "too many elements or too deep"}
			}
			e := &Node{Name: t.Name.Local, Attrs: t.Attr, space: t.Name.Space}
			switch {
			case len(open) > 0:
				up := open[len(open)-1]
				up.Children = append(up.Children, e)
			case root != nil:
				return nil, &Error{"xml-syntax", "more than one root element"}
			default:
				root = e
			}
			open, texts = append(open, e), append(texts, nil)
		case xml.EndElement:
			open[len(open)-1].Text = strings.TrimSpace(string(texts[len(texts)-1]))
			open, texts = open[:len(open)-1], texts[:len(texts)-1]
		case xml.CharData:
			if len(open) > 0 {
				texts[len(texts)-1] = append(texts[len(texts)-1], t...)
			} else if len(bytes.TrimSpace(t)) > 0 {
				return nil, &Error{"xml-syntax", "text outside the root element"}
			}
		}
	}
	if root == nil {
		return nil, &Error{"xml-syntax", "no root element"}
	}
	return root, nil
}

// toUTF8 reads what the declaration says, or where it says nothing UTF-8 when it is valid, else GB18030.
func toUTF8(b []byte) ([]byte, error) {
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	if bytes.IndexByte(b, 0) >= 0 {
		return nil, &Error{"xml-charset", "a zero byte, or UTF-16"}
	}
	gb := false
	switch declared := strings.ToUpper(encodingOf(b)); declared {
	case "":
		gb = !utf8.Valid(b)
	case "UTF-8", "UTF8":
		if !utf8.Valid(b) {
			return nil, &Error{"xml-charset", "declared UTF-8, but it is not"}
		}
	case "GBK", "GB2312", "GB18030", "GB_2312-80", "CP936":
		gb = true
	default:
		return nil, &Error{"xml-charset", "a character set that is not known"}
	}
	if !gb {
		return b, nil
	}
	out, err := simplifiedchinese.GB18030.NewDecoder().Bytes(b)
	if err != nil || bytes.ContainsRune(out, utf8.RuneError) {
		return nil, &Error{"xml-charset", "bytes that are not GB18030"}
	}
	return out, nil
}

// encodingOf is the encoding of the XML declaration, "" when there is none.
func encodingOf(b []byte) string {
	if !bytes.HasPrefix(b, []byte("<?xml")) {
		return ""
	}
	end := bytes.Index(b, []byte("?>"))
	if end < 0 {
		return ""
	}
	_, rest, ok := bytes.Cut(b[:end], []byte("encoding"))
	rest = bytes.TrimLeft(bytes.TrimPrefix(bytes.TrimSpace(rest), []byte("=")), " \t\r\n")
	if !ok || len(rest) < 2 {
		return ""
	}
	value, _, _ := bytes.Cut(rest[1:], rest[:1])
	return string(value)
}

// Namespaces of the two envelopes.
const (
	soap11 = "http://schemas.xmlsoap.org/soap/envelope/"
	soap12 = "http://www.w3.org/2003/05/soap-envelope"
)

// payload takes the envelope off. version is "" for plain XML. A text payload, as clients send that put
// XML into a string parameter, is parsed again.
func payload(root *Node) (body *Node, version string, err error) {
	if root.Name != "Envelope" || root.space != soap11 && root.space != soap12 {
		return root, "", nil
	}
	version = root.space
	for _, c := range root.Children {
		if c.Name != "Body" || c.space != version {
			continue
		}
		if len(c.Children) != 1 {
			return nil, version, &Error{"soap-body", "the body must hold exactly one element"}
		}
		body = c.Children[0]
		if body.Name == "Submit" && len(body.Children) == 1 && len(body.Children[0].Children) > 0 {
			return body.Children[0], version, nil // as the WSDL has it
		}
		for range 2 { // <submit><xml>text</xml></submit>
			if len(body.Children) == 1 && len(body.Children[0].Children) == 0 && strings.HasPrefix(body.Children[0].Text, "<") {
				body = body.Children[0]
			}
			if len(body.Children) == 0 && strings.HasPrefix(body.Text, "<") {
				body, err = Parse([]byte(body.Text))
				return body, version, err
			}
		}
		return body, version, nil
	}
	return nil, version, &Error{"soap-body", "the envelope has no body"}
}
