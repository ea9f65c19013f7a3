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
	b.Need("/credential/type", r.Credential.Type)
	b.Need("/credential/number", r.Credential.Number)
	b.stayInfo(r.Visit)
	b.diagnoses(r.Diagnoses)
	return b.Found
}

// checkChange is checkAdmission without the person.
func checkChange(r *gateway.ChangeStay) []check.Finding {
	b := &billCheck{}
	b.stayInfo(r.Visit)
	b.diagnoses(r.Diagnoses)
	return b.Found
}

func (b *billCheck) stayInfo(v gateway.StayInfo) {
	b.Need("/visit/number", v.Number)
	b.Need("/visit/med_type", v.MedType)
	b.When("/visit/begin", v.Begin)
	b.Coded("/visit/doctor", v.Doctor)
	b.Coded("/visit/department", v.Department)
	b.Need("/visit/bed", v.Bed)
}

func checkDischarge(r *gateway.DischargeStay) []check.Finding {
	b := &billCheck{}
	b.When("/end", r.End)
	b.Need("/dscg_way", r.Way)
	b.Coded("/department", r.Department)
	b.diagnoses(r.Diagnoses)
	return b.Found
}

func (b *billCheck) diagnoses(list []gateway.Diagnosis) {
	if len(list) == 0 {
		b.Add(CodeDiagnoses, "/diagnoses", ">=1")
	}
	for i, g := range list {
		at := "/diagnoses/" + strconv.Itoa(i)
		b.Need(at+"/type", g.Type)
		b.Need(at+"/code", g.Code)
		b.Need(at+"/name", g.Name)
		b.Need(at+"/department", g.Department)
		b.Coded(at+"/doctor", g.Doctor)
		b.When(at+"/time", g.Time)
	}
}

// checkCharges tells what is wrong with the rows of one call. A row that takes another back is
// negative, any other is not.
func checkCharges(fees []gateway.Fee) []check.Finding {
	b := &billCheck{}
	switch n := len(fees); {
	case n == 0:
		b.Add(CodeFeesEmpty, "/fees", ">=1")
	case n > mostFees:
		b.Add(CodeFeesTooMany, "/fees", fmt.Sprintf("<=%d", mostFees))
		return b.Found
	}
	seen := make(map[string]int, len(fees))
	for i := range fees {
		at := "/fees/" + strconv.Itoa(i)
		if first, twice := seen[fees[i].ID]; twice && fees[i].ID != "" {
			b.Add(CodeFeeDuplicate, at+"/id", fmt.Sprintf("/fees/%d/id", first))
		}
		seen[fees[i].ID] = i
		b.fee(at, &fees[i])
	}
	return b.Found
}
