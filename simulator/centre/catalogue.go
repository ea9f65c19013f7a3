package centre

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"yiqiao/schemas/catalog"
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

// mapItems is 3301 and 3302: the mappings of an institution, for 1317 to show. Whether an item
// is in the catalogue is not asked.
func (c *Centre) mapItems(k *call) (action, error) {
	list := rows(k.in, "data")
	if len(list) > 100 {
		return action{}, refuse("一次最多 100 条")
	}
	return action{writes: true, repeat: true, run: func() (any, error) {
		for _, row := range list {
			key := k.place.Code + "/" + text(row, "fixmedins_hilist_id")
			if k.req.Infno == "3302" {
				delete(c.state.mappings, key)
				continue
			}
			c.state.mappings[key] = row
		}
		return nil, nil
	}}, nil
}

// askMappings is 1317.
func (c *Centre) askMappings(k *call) (action, error) {
	in := node(k.in, "data")
	return action{run: func() (any, error) {
		out := []any{}
		if row := c.state.mappings[k.place.Code+"/"+text(in, "medins_list_codg")]; row != nil {
			out = append(out, object{"medins_list_codg": text(row, "fixmedins_hilist_id"), "medins_list_name": text(row, "fixmedins_hilist_name"),
				"list_type": text(row, "list_type"), "med_list_codg": text(row, "med_list_codg"), "begndate": text(row, "begndate"), "vali_flag": "1"})
		}
		return object{"data": out, "recordCounts": json.Number(strconv.Itoa(len(out)))}, nil
	}}, nil
}

// planCatalogue knows the transactions of catalogues and mappings.
func (c *Centre) planCatalogue(k *call, t *catalog.Transaction) (act action, known bool, err error) {
	switch {
	case t.Kind == catalog.Download && strings.HasPrefix(string(t.Infno), "13"):
		act, err = c.catalogueFile(k)
	case t.Infno == "3301" || t.Infno == "3302":
		act, err = c.mapItems(k)
	case t.Infno == "1317":
		act, err = c.askMappings(k)
	default:
		return act, false, nil
	}
	return act, true, err
}
