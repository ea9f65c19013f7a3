package centre

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Forms of the member in of 9101.
const (
	formBase64 = "base64"
	formInt8   = "int8array"
	formUint8  = "uint8array"
)

// Bounds of what 9101 keeps. Files past their end are forgotten first.
const (
	maxFile  = 6 << 20
	maxFiles = 2000
	maxStore = 256 << 20
)

// file is one uploaded or made file.
type file struct {
	no    string
	name  string
	place string
	body  []byte
	until time.Time
}

// download is an answer that is no message: the bytes of a file.
type download struct{ body []byte }

// upload is 9101. The same content again gives another number and harms nothing.
func (c *Centre) upload(k *call) (action, error) {
	in := node(k.in, "fsUploadIn")
	if text(in, "fixmedins_code") != k.place.Code {
		return action{}, refuse("机构编号与报文头不一致")
	}
	name := text(in, "filename")
	if strings.ContainsAny(name, "/\\\x00") || name == "." || name == ".." {
		return action{}, refuse("文件名不合法")
	}
	body, err := c.fileBytes(in["in"])
	if err != nil {
		return action{}, err
	}
	return action{writes: true, repeat: true, run: func() (any, error) {
		f, err := c.keepFile(k, name, body)
		if err != nil {
			return nil, err
		}
		return object{"file_qury_no": f.no, "filename": name, "fixmedins_code": k.place.Code,
			"dld_endtime": f.until.Format(time.DateTime)}, nil
	}}, nil
}

// keepFile gives a file a number; refused when too much is kept.
func (c *Centre) keepFile(k *call, name string, body []byte) (*file, error) {
	s := c.state
	kept := s.fileOrder[:0:0]
	size := len(body)
	for _, f := range s.fileOrder {
		if k.now.After(f.until) {
			delete(s.files, f.no)
			continue
		}
		kept, size = append(kept, f), size+len(f.body)
	}
	s.fileOrder = kept
	if len(kept) >= maxFiles || size > maxStore {
		return nil, refuse("中心暂存文件过多，请稍后再试")
	}
	f := &file{no: s.id(k.place.Area, k.now), name: name, place: k.place.Code, body: body, until: k.now.Add(c.opt.Region.FileLife)}
	s.files[f.no] = f
	s.fileOrder = append(s.fileOrder, f)
	return f, nil
}

// fileOf finds a file of this institution that can still be downloaded.
func (c *Centre) fileOf(k *call, no string) (*file, error) {
	f := c.state.files[no]
	switch {
	case f == nil || f.place != k.place.Code:
		return nil, refuse("未查询到文件：%s", no)
	case k.now.After(f.until):
		return nil, refuse("文件已超过下载截止时间")
	}
	return f, nil
}

// download is 9102. plc stands for the name or the institution, as clients of the catalogue files
// send it.
func (c *Centre) download(k *call) (action, error) {
	in := node(k.in, "fsDownloadIn")
	if code := text(in, "fixmedins_code"); code != k.place.Code && code != "plc" {
		return action{}, refuse("机构编号与报文头不一致")
	}
	f, err := c.fileOf(k, text(in, "file_qury_no"))
	if err != nil {
		return action{}, err
	}
	if name := text(in, "filename"); name != f.name && name != "plc" {
		return action{}, refuse("文件名与文件查询号不符")
	}
	return action{run: func() (any, error) { return download{f.body}, nil }}, nil
}

// fileBytes reads the member in: base64 text, or an array of bytes with or without a sign.
func (c *Centre) fileBytes(v any) ([]byte, error) {
	var body []byte
	form := ""
	switch v := v.(type) {
	case string:
		b, err := base64.StdEncoding.DecodeString(v) // skips line ends, nothing else
		if err != nil {
			return nil, refuse("文件内容不是合法的 base64")
		}
		body, form = b, formBase64
	case []any:
		var err error
		if body, form, err = byteArray(v); err != nil {
			return nil, err
		}
	default:
		return nil, refuse("缺少必填项：fsUploadIn.in（文件）")
	}
	want := c.opt.Region.FileForm
	switch {
	case len(body) == 0:
		return nil, refuse("文件为空")
	case len(body) > maxFile:
		return nil, refuse("文件超过 %d 字节", maxFile)
	case want != "" && want != formMultipart && form != want && !(form == "" && want != formBase64):
		return nil, refuse("本地区文件内容应为 %s", want)
	}
	return body, nil
}

// byteArray reads numbers from -128 to 127 or from 0 to 255. Where they fit both, the form is "".
func byteArray(list []any) (body []byte, form string, err error) {
	body = make([]byte, 0, len(list))
	low, high := false, false
	for _, one := range list {
		literal, ok := one.(json.Number)
		n, err := strconv.Atoi(string(literal))
		if !ok || err != nil || n < -128 || n > 255 {
			return nil, "", refuse("文件字节数组的元素不是字节")
		}
		low, high = low || n < 0, high || n > 127
		body = append(body, byte(n))
	}
	switch {
	case low && high:
		return nil, "", refuse("文件字节数组混用有符号和无符号字节")
	case low:
		form = formInt8
	case high:
		form = formUint8
	}
	return body, form, nil
}
