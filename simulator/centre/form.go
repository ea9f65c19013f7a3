package centre

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/multipart"

	"yiqiao/schemas/strictjson"
)

// formMultipart is 9101 as multipart/form-data: the message in the part data, the file in the part file.
const formMultipart = "multipart"

// joinForm puts the file of a form back into its message. ok is false for a body that is no form.
func joinForm(contentType string, body []byte) (message []byte, ok bool, err error) {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "multipart/form-data" {
		return nil, false, nil
	}
	r := multipart.NewReader(bytes.NewReader(body), params["boundary"])
	parts := map[string][]byte{}
	for {
		p, err := r.NextPart()
		if err == io.EOF {
			break
		}
		if err != nil || len(parts) > 8 {
			return nil, true, refuse("表单格式错误")
		}
		content, err := io.ReadAll(io.LimitReader(p, maxBody))
		if _, twice := parts[p.FormName()]; err != nil || twice {
			return nil, true, refuse("表单格式错误")
		}
		parts[p.FormName()] = content
	}
	v, err := strictjson.Decode(parts["data"], strictjson.Request())
	if err != nil {
		return nil, true, refuse("表单缺少报文 data，或不是合法的 JSON")
	}
	o, isObject := strictjson.Object(strictjson.Get(v, "input", "fsUploadIn"))
	if _, has := o["in"]; !isObject || has || len(parts["file"]) == 0 {
		return nil, true, refuse("表单缺少文件 file")
	}
	o["in"] = base64.StdEncoding.EncodeToString(parts["file"])
	return strictjson.Append(nil, v), true, nil
}
