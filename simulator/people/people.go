// Package people holds the insured persons and the institutions a simulated centre knows.
//
// Nobody here exists: every identity number starts with 999999, which is no area of the country.
// Fixed gives ten persons, one for each case worth showing; Generate makes as many more as wanted
// out of a seed. The figures are explained in docs/simulated-policy.md.
package people

import "yiqiao/schemas/money"

// Insurance is one row of a person's insurance (1101 insuinfo).
type Insurance struct {
	Type       string // insutype: 310, 320, 330, 390
	PersonType string // psn_type, 4 digits
	State      string // psn_insu_stas: 1 insured, 2 paused
	Since      string // psn_insu_date, yyyy-MM-dd
	Paused     string // paus_insu_date, "" while insured
}

// Identity is a status of a person beside the insurance (1101 idetinfo).
type Identity struct {
	Type  string // psn_idet_type; MedicalAid is the one the policy looks at
	Level string // psn_type_lv, "" for none
	Since string // begntime, yyyy-MM-dd HH:mm:ss
	Memo  string
}

// MedicalAid is the identity of a person who gets medical aid (医疗救助对象).
const MedicalAid = "06"

// Used is what a person has already used of an insurance type this year when the centre opens.
type Used struct {
	Type       string    // insutype
	Deductible money.Fen // counted towards the annual deductible
	Pool       money.Fen // paid by the pooled fund for outpatients and pharmacies
	StayPool   money.Fen // paid by the pooled fund for inpatients
	Large      money.Fen // paid by the large-amount or serious-illness fund
	Servant    money.Fen // paid by the civil servants' supplement
	Aid        money.Fen // paid by medical aid
}

// Person is one insured person. Balance is what the personal account holds, in fen; a person
// without an employee insurance has none.
type Person struct {
	No         string // psn_no
	Cert       string // certno, identity number
	Name       string
	Gender     string // gend: 1 male, 2 female
	Birth      string // brdy, yyyy-MM-dd
	Ethnic     string // naty
	Card       string // social security card number (credential 03)
	CardSN     string // card_sn
	Token      string // e-credential token (credential 01)
	Area       string // insuplc_admdvs
	Employer   string
	Balance    money.Fen
	Insurances []Insurance
	Identities []Identity
	Used       []Used
}

// Insurance finds the row of an insurance type.
func (p *Person) Insurance(insutype string) (Insurance, bool) {
	for _, i := range p.Insurances {
		if i.Type == insutype {
			return i, true
		}
	}
	return Insurance{}, false
}

// Has reports whether the person has that insurance and it is not paused.
func (p *Person) Has(insutype string) bool {
	i, ok := p.Insurance(insutype)
	return ok && i.State == "1"
}

// Aided reports whether the person is entitled to medical aid.
func (p *Person) Aided() bool {
	for _, i := range p.Identities {
		if i.Type == MedicalAid {
			return true
		}
	}
	return false
}

// Credential finds which certificate a credential of type kind (01, 02, 03) with number no is:
// whether it is this person's. serial is compared for cards when it is not empty.
func (p *Person) Credential(kind, no, serial string) bool {
	if no == "" {
		return false
	}
	switch kind {
	case "01":
		return no == p.Token
	case "02":
		return no == p.Cert
	case "03":
		return no == p.Card && (serial == "" || serial == p.CardSN)
	}
	return false
}

// Institution is a hospital, a clinic or a pharmacy under contract.
type Institution struct {
	Code  string // fixmedins_code, 12 characters; a pharmacy's begins with P
	Name  string // fixmedins_name
	Level string // hosp_lv as the simulator writes it: 3, 2 or 1; "" for a pharmacy
	Area  string // admdvs
}

// Pharmacy reports whether the institution only sells medicine.
func (i Institution) Pharmacy() bool { return len(i.Code) > 0 && i.Code[0] == 'P' }

// Institutions lists the institutions under contract; a code that is not here is refused.
func Institutions() []Institution {
	return []Institution{
		{Code: "H44010000001", Name: "测试市第一人民医院", Level: "3", Area: "440100"},
		{Code: "H44010000002", Name: "测试区社区卫生服务中心", Level: "1", Area: "440100"},
		{Code: "H44010000003", Name: "测试区第二医院", Level: "2", Area: "440100"},
		{Code: "P44010000001", Name: "测试大药房", Area: "440100"},
	}
}
