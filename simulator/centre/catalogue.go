package centre

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"yiqiao/simulator/policy"
)

// catalogueFile is 1301 to 1321 where they download: the whole catalogue as a file for 9102, one line for each item, code, name and
// version apart by tabs. All of them give the same items: what is in the files of each no source tells.
func (c *Centre) catalogueFile(k *call) (action, error) {
	var lines []string
	for _, i := range policy.Items() {
		lines = append(lines, i.Code+"\t"+i.Name+"\tF001")
	}
	if ver := text(node(k.in, "data"), "ver"); ver != "0" && ver != "" && ver >= "F001" {
		return action{}, refuse("已是最新版本：%s", ver)
	}
	return action{writes: true, repeat: true, run: func() (any, error) {
		f, err := c.keepFile(k, "catalogue_"+string(k.req.Infno)+".txt", []byte(strings.Join(lines, "\n")+"\n"))
		if err != nil {
			return nil, err
		}
		return object{"file_qury_no": f.no, "filename": f.name, "dld_end_time": f.until.Format(time.DateOnly), "data_cnt": json.Number(strconv.Itoa(len(lines)))}, nil
	}}, nil
}
