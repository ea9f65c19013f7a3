package people

// Person numbers of the fixed persons.
const (
	Active    = "44010000000000000001" // 测试甲: employee, active, 1000.00 on the account
	Retired   = "44010000000000000002" // 测试乙: employee, retired
	Resident  = "44010000000000000003" // 测试丙: resident
	Servant   = "44010000000000000004" // 测试丁: civil servant with supplement
	Heavy     = "44010000000000000005" // 测试戊: near the annual cap, with large-amount insurance
	Aided     = "44010000000000000006" // 测试己: resident with medical aid
	Poor      = "44010000000000000007" // 测试庚: employee with 3.50 on the account
	Elsewhere = "44010000000000000008" // 测试辛: employee insured in 440300
	Paused    = "44010000000000000009" // 测试壬: insurance paused
	Uninsured = "44010000000000000010" // 测试癸: known, but not insured
)

// Fixed gives the ten well-known persons, in the order of their numbers. The result is a fresh
// copy each time.
func Fixed() []Person {
	const area = "440100"
	return []Person{
		{
			No: Active, Cert: "999999198503120018", Name: "测试甲", Gender: "1", Birth: "1985-03-12", Ethnic: "01",
			Card: "T99900001", CardSN: "0000000000000000000000000000A001", Token: "TESTTOKEN00000000000000000001",
			Area: area, Employer: "测试机械厂", Balance: 1000_00,
			Insurances: []Insurance{{Type: "310", PersonType: "1101", State: "1", Since: "2008-07-01"}},
		},
		{
			No: Retired, Cert: "99999919550608002X", Name: "测试乙", Gender: "2", Birth: "1955-06-08", Ethnic: "01",
			Card: "T99900002", CardSN: "0000000000000000000000000000A002", Token: "TESTTOKEN00000000000000000002",
			Area: area, Employer: "测试纺织厂", Balance: 2500_00,
			Insurances: []Insurance{{Type: "310", PersonType: "1201", State: "1", Since: "2001-01-01"}},
		},
		{
			No: Resident, Cert: "999999197904210036", Name: "测试丙", Gender: "1", Birth: "1979-04-21", Ethnic: "08",
			Card: "T99900003", CardSN: "0000000000000000000000000000A003", Token: "TESTTOKEN00000000000000000003",
			Area:       area,
			Insurances: []Insurance{{Type: "390", PersonType: "1501", State: "1", Since: "2017-01-01"}},
		},
		{
			No: Servant, Cert: "99999919880915005X", Name: "测试丁", Gender: "1", Birth: "1988-09-15", Ethnic: "01",
			Card: "T99900004", CardSN: "0000000000000000000000000000A004", Token: "TESTTOKEN00000000000000000004",
			Area: area, Employer: "测试市档案局", Balance: 800_00,
			Insurances: []Insurance{
				{Type: "310", PersonType: "1102", State: "1", Since: "2012-09-01"},
				{Type: "320", PersonType: "1102", State: "1", Since: "2012-09-01"},
			},
		},
		{
			No: Heavy, Cert: "99999919661103007X", Name: "测试戊", Gender: "1", Birth: "1966-11-03", Ethnic: "01",
			Card: "T99900005", CardSN: "0000000000000000000000000000A005", Token: "TESTTOKEN00000000000000000005",
			Area: area, Employer: "测试物流公司", Balance: 300_00,
			Insurances: []Insurance{
				{Type: "310", PersonType: "1101", State: "1", Since: "1999-03-01"},
				{Type: "330", PersonType: "1101", State: "1", Since: "2010-01-01"},
			},
			Used: []Used{{Type: "310", Deductible: 200_00, Pool: 5950_00}},
		},
		{
			No: Aided, Cert: "999999197202290043", Name: "测试己", Gender: "2", Birth: "1972-02-29", Ethnic: "13",
			Card: "T99900006", CardSN: "0000000000000000000000000000A006", Token: "TESTTOKEN00000000000000000006",
			Area:       area,
			Insurances: []Insurance{{Type: "390", PersonType: "1501", State: "1", Since: "2017-01-01"}},
			Identities: []Identity{{Type: MedicalAid, Since: "2020-01-01 00:00:00", Memo: "医疗救助对象"}},
		},
		{
			No: Poor, Cert: "999999199507170092", Name: "测试庚", Gender: "1", Birth: "1995-07-17", Ethnic: "01",
			Card: "T99900007", CardSN: "0000000000000000000000000000A007", Token: "TESTTOKEN00000000000000000007",
			Area: area, Employer: "测试餐饮公司", Balance: 3_50,
			Insurances: []Insurance{{Type: "310", PersonType: "1101", State: "1", Since: "2019-05-01"}},
		},
		{
			No: Elsewhere, Cert: "999999199005100115", Name: "测试辛", Gender: "1", Birth: "1990-05-10", Ethnic: "01",
			Card: "T99900008", CardSN: "0000000000000000000000000000A008", Token: "TESTTOKEN00000000000000000008",
			Area: "440300", Employer: "测试电子公司", Balance: 600_00,
			Insurances: []Insurance{{Type: "310", PersonType: "1101", State: "1", Since: "2015-08-01"}},
		},
		{
			No: Paused, Cert: "999999198301260063", Name: "测试壬", Gender: "2", Birth: "1983-01-26", Ethnic: "01",
			Card: "T99900009", CardSN: "0000000000000000000000000000A009", Token: "TESTTOKEN00000000000000000009",
			Area: area, Employer: "测试服装厂", Balance: 150_00,
			Insurances: []Insurance{{Type: "310", PersonType: "1101", State: "2", Since: "2006-04-01", Paused: "2024-01-01"}},
		},
		{
			No: Uninsured, Cert: "99999919990831013X", Name: "测试癸", Gender: "1", Birth: "1999-08-31", Ethnic: "01",
			Card: "T99900010", CardSN: "0000000000000000000000000000A010", Token: "TESTTOKEN00000000000000000010",
			Area: area,
		},
	}
}
