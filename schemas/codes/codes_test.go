package codes

import (
	"slices"
	"testing"
)

func load(t *testing.T) *Tables {
	t.Helper()
	tb, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func TestMeaning(t *testing.T) {
	tb := load(t)
	for _, c := range []struct {
		dict, code string
		want       Meaning
		label      string
	}{
		{"insutype", "310", National, "职工基本医疗保险"},
		{"hi_type", "310", National, "职工基本医疗保险"}, // field alias
		{"chrgitm_lv", "02", National, "乙类"},
		{"chrgitm_lv", "2", National, "乙类"},             // alias of a value
		{"psn_cert_type", "91", Local, "保密人员 (Hebei)"},  // flat local value
		{"med_type", "140104", Local, "门诊慢病"},           // grouped local value
		{"fund_pay_type", "390500", Local, "居民大病"},      // last group
		{"trt_type", "2.1", Local, "中医"},                // grouped under a product
		{"insutype", "000", Unknown, ""},                // table with values
		{"insutype", "", Unknown, ""},                   // empty is no code
		{"dept", "01", NoTable, ""},                     // stub
		{"no_such_dictionary", "01", NoTable, ""},       // absent
		{"med_type", "11 ", Unknown, ""},                // no trimming
		{"mdtrt_cert_type", "04", Local, "澳门证件"},        // parentheses in the group name
		{"gend", "9", National, "未说明性别"},                // plain
		{"rxStasCodg", "3", National, "已撤销"},            // camel case field alias
		{"dscg_31days_rinp_flag", "2", National, "有"},   // underscore alias
		{"setl_type_mobile", "HI", National, "仅医保"},     // letters
		{"min_prcunt_type", "2", National, "最小包装单位"},    // low confidence is still listed
		{"min_prcunt_type", "7", Unknown, ""},           // and incomplete
		{"med_type", "9903", Local, "意外伤害门诊"},           // clash: first region in order
		{"stmt_rslt", "000102", Local, "医药机构多"},         // leading zeros are kept
		{"insutype_retr_flag", "2", National, "离退休"},    //
		{"cvlserv_flag", "1", National, "是"},            //
		{"clr_way", "40", Local, "DRG"},                 //
		{"scs_cutd_ward_type", "anything", NoTable, ""}, //
	} {
		if got := tb.Meaning(c.dict, c.code); got != c.want {
			t.Errorf("Meaning(%s, %q) = %s, want %s", c.dict, c.code, got, c.want)
		}
		label, ok := tb.Label(c.dict, c.code)
		if label != c.label || ok != (c.label != "") {
			t.Errorf("Label(%s, %q) = %q %v, want %q", c.dict, c.code, label, ok, c.label)
		}
	}
}

func TestEnforcedFollowsConfidence(t *testing.T) {
	tb := load(t)
	for name, want := range map[string]bool{"insutype": true, "naty": true, "min_prcunt_type": false, "dept": false} {
		d, ok := tb.Lookup(name)
		if !ok || d.Enforced() != want {
			t.Errorf("%s: found %v, enforced %v, want %v", name, ok, d.Enforced(), want)
		}
	}
}

func TestEveryTableSaysWhereItComesFrom(t *testing.T) {
	tb := load(t)
	names := tb.Names()
	if len(names) < 150 || !slices.IsSorted(names) {
		t.Fatalf("%d names, sorted %v", len(names), slices.IsSorted(names))
	}
	for _, n := range names {
		d, _ := tb.Lookup(n)
		if d.Code != n || d.Name == "" || d.Confidence == "" {
			t.Errorf("%s: %+v", n, d)
		}
		if len(d.Values) > 0 && len(d.Sources) == 0 {
			t.Errorf("%s: values without a source", n)
		}
		for _, v := range d.Values {
			if d.Meaning(v.Code) != National || v.Label == "" {
				t.Errorf("%s %s: %s %q", n, v.Code, d.Meaning(v.Code), v.Label)
			}
		}
		for _, v := range d.Local {
			if m := d.Meaning(v.Code); m != Local && m != National {
				t.Errorf("%s %s: %s", n, v.Code, m)
			}
		}
	}
}

func TestNamesIsACopy(t *testing.T) {
	tb := load(t)
	tb.Names()[0] = "spoiled"
	if tb.Names()[0] == "spoiled" {
		t.Fatal("the caller can change the tables")
	}
}

func TestParseRefuses(t *testing.T) {
	for name, text := range map[string]string{
		"not json":            `{`,
		"unknown key":         `{"a":{"name":"x","confidence":"low","colour":1}}`,
		"confidence":          `{"a":{"name":"x","confidence":"sure"}}`,
		"alias of nothing":    `{"a":{"name":"x","confidence":"low","aliases":{"1":"01"}}}`,
		"field claimed twice": `{"a":{"name":"x","confidence":"low","fieldAliases":["f"]},"b":{"name":"y","confidence":"low","fieldAliases":["f"]}}`,
		"bad local":           `{"a":{"name":"x","confidence":"low","localValues":{"r":[1]}}}`,
		"null":                `{"a":null}`,
	} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
