package flow

import (
	"fmt"
	"strconv"

	"yiqiao/gateway"
	"yiqiao/schemas/check"
)

// checkAdmission tells everything that is wrong with an admission before anything is sent.
func checkAdmission(r *gateway.AdmitStay) []check.Finding {
	b := &billCheck{}
	b.need("/credential/type", r.Credential.Type)
	b.need("/credential/number", r.Credential.Number)
	v := r.Visit
	b.need("/visit/number", v.Number)
	b.need("/visit/med_type", v.MedType)
	b.when("/visit/begin", v.Begin)
	b.coded("/visit/doctor", v.Doctor)
	b.coded("/visit/department", v.Department)
	b.need("/visit/bed", v.Bed)
	b.diagnoses(r.Diagnoses)
	return b.found
}

func checkDischarge(r *gateway.DischargeStay) []check.Finding {
	b := &billCheck{}
	b.when("/end", r.End)
	b.need("/dscg_way", r.Way)
	b.coded("/department", r.Department)
	b.diagnoses(r.Diagnoses)
	return b.found
}

func (b *billCheck) diagnoses(list []gateway.Diagnosis) {
	if len(list) == 0 {
		b.add(CodeDiagnoses, "/diagnoses", ">=1")
	}
	for i, g := range list {
		at := "/diagnoses/" + strconv.Itoa(i)
		b.need(at+"/type", g.Type)
		b.need(at+"/code", g.Code)
		b.need(at+"/name", g.Name)
		b.need(at+"/department", g.Department)
		b.coded(at+"/doctor", g.Doctor)
		b.when(at+"/time", g.Time)
	}
}

// checkCharges tells what is wrong with the rows of one call. A row that takes another back is
// negative, any other is not.
func checkCharges(fees []gateway.Fee) []check.Finding {
	b := &billCheck{}
	switch n := len(fees); {
	case n == 0:
		b.add(CodeFeesEmpty, "/fees", ">=1")
	case n > mostFees:
		b.add(CodeFeesTooMany, "/fees", fmt.Sprintf("<=%d", mostFees))
		return b.found
	}
	seen := make(map[string]int, len(fees))
	for i := range fees {
		at := "/fees/" + strconv.Itoa(i)
		if first, twice := seen[fees[i].ID]; twice && fees[i].ID != "" {
			b.add(CodeFeeDuplicate, at+"/id", fmt.Sprintf("/fees/%d/id", first))
		}
		seen[fees[i].ID] = i
		b.fee(at, &fees[i])
	}
	return b.found
}
