package centre

import (
	"strings"
	"testing"

	"yiqiao/simulator/people"
)

func transfer(p people.Person, to string) object {
	return object{"refmedin": object{"psn_no": p.No, "insutype": base(p), "diag_code": "I10.x00", "diag_name": "原发性高血压",
		"reflin_medins_no": to, "reflin_medins_name": "测试医院", "mdtrtarea_admdvs": "440100", "refl_type": "1", "refl_date": "2025-06-17",
		"refl_rea": "病情需要", "refl_opnn": "同意", "begndate": "2025-06-17", "enddate": "2025-12-31"}}
}

func chronic(p people.Person, disease string) object {
	return object{"data": object{"psn_no": p.No, "insutype": base(p), "opsp_dise_code": disease, "opsp_dise_name": "高血压", "insu_optins": "440100",
		"ide_fixmedins_no": big, "ide_fixmedins_name": "测试市第一人民医院", "hosp_ide_date": "2025-06-01", "diag_dr_codg": "D01",
		"diag_dr_name": "测试医师", "begndate": "2025-06-01"}}
}

func fixed(p people.Person) object {
	return object{"data": object{"psn_no": p.No, "biz_appy_type": "03", "begndate": "2025-06-01", "fix_srt_no": "1",
		"fixmedins_code": big, "fixmedins_name": "测试市第一人民医院"}}
}

func accident(p people.Person) object {
	return object{"data": object{"psn_no": p.No, "insutype": base(p), "trum_time": "2025-06-16 08:00:00", "trum_site": "厂区"}}
}

func backOf(p people.Person, sn string) object {
	return object{"data": object{"trt_dcla_detl_sn": sn, "psn_no": p.No, "memo": "撤销"}}
}

func TestFilings(t *testing.T) {
	d, p := newDesk(t, Options{}), someone(t, people.Active)
	oldVisit := d.open(p)
	a := transfer(p, "H44010000003")
	node(a, "refmedin")["refl_old_mdtrt_id"] = oldVisit
	for _, k := range []struct {
		infno, undo, other string
		in                 object
	}{
		{"2501", "2502", "2504", transfer(p, small)},
		{"2501A", "2502", "2508", a},
		{"2503", "2504", "2506", chronic(p, "M03900")},
		{"2505", "2506", "2504", fixed(p)},
		{"2507", "2508", "2502", accident(p)},
	} {
		sn := text(node(d.must(p, k.infno, k.in), "result"), "trt_dcla_detl_sn")
		if len(sn) != 30 {
			t.Errorf("%s: number %q", k.infno, sn)
		}
		before := d.c.Digest()
		refused := func(who people.Person, infno string, in object) {
			t.Helper()
			if r := d.send(who, infno, in); r.OK() || d.c.Digest() != before {
				t.Errorf("%s after %s was accepted", infno, k.infno)
			}
		}
		refused(p, k.infno, k.in)
		refused(p, k.other, backOf(p, sn))
		refused(p, k.undo, backOf(p, "9"))
		refused(someone(t, people.Retired), k.undo, backOf(someone(t, people.Retired), sn))
		d.place = small
		refused(p, k.undo, backOf(p, sn))
		d.place = big
		d.must(p, k.undo, backOf(p, sn))
		before = d.c.Digest()
		if r := d.send(p, k.undo, backOf(p, sn)); r.OK() || !strings.Contains(r.ErrMsg, "已撤销") {
			t.Errorf("%s twice: %q", k.undo, r.ErrMsg)
		}
		d.must(p, k.infno, k.in)
	}
	span := object{"data": object{"psn_no": p.No, "begntime": "2025-06-18 00:00:00", "endtime": "2025-06-18 12:00:00"}}
	if got := rows(d.must(p, "5304", span), "refmedin"); len(got) != 2 || text(got[0], "reflin_medins_no") != small || text(got[0], "refl_date") != "2025-06-17" {
		t.Errorf("5304: %v", got)
	}
	span = object{"data": object{"begntime": "2025-06-18 00:00:00", "endtime": "2025-06-18 12:00:00"}}
	if got := rows(d.must(p, "5304", span), "refmedin"); len(got) != 2 {
		t.Errorf("5304 of nobody: %v", got)
	}
	if got := rows(d.must(p, "5301", object{"data": object{"psn_no": p.No}}), "feedetail"); len(got) != 1 || text(got[0], "opsp_dise_code") != "M03900" || text(got[0], "begndate") != "2025-06-01" {
		t.Errorf("5301: %v", got)
	}
	for kind, n := range map[string]int{"03": 1, "": 1, "04": 0} {
		if got := rows(d.must(p, "5302", object{"data": object{"psn_no": p.No, "biz_appy_type": kind}}), "psnfixmedin"); len(got) != n {
			t.Errorf("5302 %q: %v", kind, got)
		}
	}
	for name, k := range map[string]struct {
		infno string
		in    object
	}{
		"to itself":     {"2501", transfer(p, big)},
		"backwards":     {"2501", with(transfer(p, "H1"), "refmedin", "enddate", "2025-06-01")},
		"not insured":   {"2503", with(chronic(p, "M1"), "data", "insutype", "390")},
		"no such visit": {"2501A", with(a, "refmedin", "refl_old_mdtrt_id", "x")},
		"nothing":       {"2507", object{"data": object{}}},
	} {
		if r := d.send(p, k.infno, k.in); r.OK() {
			t.Errorf("%s: accepted", name)
		}
	}
}

// Where the region asks for it, chronic visits and transfers need their filing, and a filing that
// carries a visit stays.
func TestFilingsAreNeeded(t *testing.T) {
	d, p := newDesk(t, Options{Region: Region{RequireFiling: true}}), someone(t, people.Active)
	visit := text(node(d.must(p, "2201", registration(p, "O1")), "data"), "mdtrt_id")
	if r := d.send(p, "2203", visitInput(p, visit, "14")); r.OK() || !strings.Contains(r.ErrMsg, "慢特病备案") {
		t.Errorf("chronic without a filing: %q", r.ErrMsg)
	}
	sn := text(node(d.must(p, "2503", chronic(p, "M07800")), "result"), "trt_dcla_detl_sn")
	d.must(p, "2203", visitInput(p, visit, "14"))
	d.must(p, "2204", feeInput(t, p, visit, "B", fee{"1", "XZ99AAA003A001010100001", "2", "9.5"}))
	in := with(trialInput(p, visit, "B", 19_00), "data", "med_type", "14")
	out := d.must(p, "2207", with(settleInput(p, visit, "B", d.must(p, "2206", in)), "data", "med_type", "14"))
	if r := d.send(p, "2504", backOf(p, sn)); r.OK() || !strings.Contains(r.ErrMsg, "已用于就诊") {
		t.Errorf("a filing in use went: %q", r.ErrMsg)
	}
	if got := rows(d.must(p, "5205", object{"data": object{"psn_no": p.No, "begntime": "2025-06-01 00:00:00"}}), "feedetail"); len(got) != 1 || text(got[0], "fixmedins_code") != big {
		t.Errorf("5205: %v", got)
	}
	d.must(p, "2208", undoInput(p, visit, text(node(out, "setlinfo"), "setl_id")))
	d.must(p, "2504", backOf(p, sn))

	stay := with(admissionInput(p, "Z1"), "mdtrtinfo", "med_type", "23")
	d.place = small
	if r := d.send(p, "2401", stay); r.OK() || !strings.Contains(r.ErrMsg, "转院备案") {
		t.Errorf("a transfer without a filing: %q", r.ErrMsg)
	}
	d.place = big
	sn = text(node(d.must(p, "2501", transfer(p, small)), "result"), "trt_dcla_detl_sn")
	d.place = small
	id := text(node(d.must(p, "2401", stay), "result"), "mdtrt_id")
	d.place = big
	if r := d.send(p, "2502", backOf(p, sn)); r.OK() {
		t.Error("a filing that carries a stay went")
	}
	d.place = small
	d.must(p, "2404", idOf(p, id))
	d.place = big
	d.must(p, "2502", backOf(p, sn))
}
