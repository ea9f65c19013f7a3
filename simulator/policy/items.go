package policy

import "yiqiao/schemas/money"

// Item is one entry of the simulated national catalogue. Every code is synthetic: its group (ATC
// Z99, service 0099, material C99) does not exist.
type Item struct {
	Code       string        // med_list_codg
	Name       string        // hilist_name
	Spec       string        // spec or unit
	Form       string        // dosform_name, "" for services and materials
	Class      string        // chrgitm_lv: 01 A, 02 B, 03 own pay
	SelfPay    money.Decimal // selfpay_prop, 0..1: share of a class B item paid first by the person
	Cap        money.Decimal // pric_uplmt_amt, yuan; zero is no limit
	List       string        // list_type
	Charge     string        // med_chrgitm_type
	Basic      bool          // bas_medn_flag
	Negotiated bool          // hi_nego_drug_flag
	Child      bool          // chld_medc_flag
	Limited    bool          // lmt_used_flag: insured only when the hospital approved the use
}

// Catalogue finds items by code. It is immutable and safe for concurrent use.
type Catalogue struct{ byCode map[string]Item }

// NewCatalogue holds the given items; of two with one code the later stays.
func NewCatalogue(items []Item) *Catalogue {
	c := &Catalogue{byCode: make(map[string]Item, len(items))}
	for _, i := range items {
		c.byCode[i.Code] = i
	}
	return c
}

// Lookup finds an item by its national code.
func (c *Catalogue) Lookup(code string) (Item, bool) {
	i, ok := c.byCode[code]
	return i, ok
}

func ratio(tenThousandths int64) money.Decimal {
	return money.Decimal{Coef: tenThousandths, Scale: 4}
}

// Items gives the items of the simulated catalogue, in a fresh slice.
func Items() []Item {
	return []Item{
		// western medicine
		{Code: "XZ99AAA001A001010100001", Name: "模拟阿莫西林胶囊", Spec: "0.25g*24粒", Form: "胶囊剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1250, Scale: 2}, List: "101", Charge: "09", Basic: true},
		{Code: "XZ99AAA002A001010100001", Name: "模拟二甲双胍片", Spec: "0.5g*30片", Form: "片剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1860, Scale: 2}, List: "101", Charge: "09", Basic: true},
		{Code: "XZ99AAA003A001010100001", Name: "模拟氨氯地平片", Spec: "5mg*28片", Form: "片剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 98765, Scale: 4}, List: "101", Charge: "09", Basic: true},
		{Code: "XZ99AAA004A001010100001", Name: "模拟阿司匹林肠溶片", Spec: "100mg*30片", Form: "肠溶片", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1530, Scale: 2}, List: "101", Charge: "09", Basic: true},
		{Code: "XZ99AAA005A001010100001", Name: "模拟布洛芬混悬液(儿童)", Spec: "100ml", Form: "口服混悬剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1600, Scale: 2}, List: "101", Charge: "09", Basic: true, Child: true},
		{Code: "XZ99AAA006A001010100001", Name: "模拟头孢呋辛酯片", Spec: "0.25g*12片", Form: "片剂", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 4000, Scale: 2}, List: "101", Charge: "09"},
		{Code: "XZ99AAA007A001010100001", Name: "模拟阿托伐他汀钙片", Spec: "20mg*7片", Form: "片剂", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 3850, Scale: 2}, List: "101", Charge: "09"},
		{Code: "XZ99AAA008A001010100001", Name: "模拟奥美拉唑肠溶胶囊", Spec: "20mg*14粒", Form: "胶囊剂", Class: "02", SelfPay: ratio(500), Cap: money.Decimal{Coef: 2280, Scale: 2}, List: "101", Charge: "09"},
		{Code: "XZ99AAA009A001010100001", Name: "模拟沙库巴曲片", Spec: "100mg*14片", Form: "片剂", Class: "02", SelfPay: ratio(2000), Cap: money.Decimal{}, List: "101", Charge: "09", Negotiated: true},
		{Code: "XZ99AAA010A001010100001", Name: "模拟培美单抗注射液", Spec: "100mg", Form: "注射剂", Class: "02", SelfPay: ratio(3000), Cap: money.Decimal{}, List: "101", Charge: "09", Negotiated: true, Limited: true},
		{Code: "XZ99AAA011A001010100001", Name: "模拟葡萄糖注射液", Spec: "250ml", Form: "注射剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 320, Scale: 2}, List: "101", Charge: "09", Basic: true},
		{Code: "XZ99AAA012A001010100001", Name: "模拟氯化钠注射液", Spec: "250ml", Form: "注射剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 310, Scale: 2}, List: "101", Charge: "09", Basic: true},
		{Code: "XZ99AAA013A001010100001", Name: "模拟复合维生素片", Spec: "60片", Form: "片剂", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "101", Charge: "09"},
		{Code: "XZ99AAA014A001010100001", Name: "模拟角鲨烯软胶囊", Spec: "100粒", Form: "胶囊剂", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "101", Charge: "09"},
		// Chinese patent medicine
		{Code: "ZZ99AAA0001010100001", Name: "模拟板蓝根颗粒", Spec: "10g*20袋", Form: "颗粒剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1400, Scale: 2}, List: "101", Charge: "11", Basic: true},
		{Code: "ZZ99AAA0002010100001", Name: "模拟连翘清热胶囊", Spec: "0.35g*24粒", Form: "胶囊剂", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1370, Scale: 2}, List: "101", Charge: "11", Basic: true},
		{Code: "ZZ99AAA0003010100001", Name: "模拟丹参滴丸", Spec: "27mg*180丸", Form: "滴丸剂", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 2990, Scale: 2}, List: "101", Charge: "11"},
		{Code: "ZZ99AAA0004010100001", Name: "模拟养阴口服液", Spec: "10ml*10支", Form: "合剂", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "101", Charge: "11"},
		// herbal pieces, per gram
		{Code: "T990000001", Name: "模拟黄芪饮片", Spec: "1g", Form: "饮片", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 125, Scale: 3}, List: "102", Charge: "10"},
		{Code: "T990000002", Name: "模拟当归饮片", Spec: "1g", Form: "饮片", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1533, Scale: 4}, List: "102", Charge: "10"},
		{Code: "T990000003", Name: "模拟甘草饮片", Spec: "1g", Form: "饮片", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 8, Scale: 2}, List: "102", Charge: "10"},
		{Code: "T990000004", Name: "模拟西洋参饮片", Spec: "1g", Form: "饮片", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "102", Charge: "10"},
		// services: visits, examinations, tests, treatment
		{Code: "009901000010000-990100001", Name: "普通门诊诊查费", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1000, Scale: 2}, List: "201", Charge: "02"},
		{Code: "009902000010000-990100002", Name: "专家门诊诊查费", Spec: "次", Class: "02", SelfPay: ratio(5000), Cap: money.Decimal{Coef: 3000, Scale: 2}, List: "201", Charge: "02"},
		{Code: "009903000010000-990100003", Name: "急诊诊查费", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1500, Scale: 2}, List: "201", Charge: "02"},
		{Code: "009904000010000-990100004", Name: "一般诊疗费", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1000, Scale: 2}, List: "201", Charge: "12"},
		{Code: "009905000010000-990100005", Name: "挂号费", Spec: "次", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "201", Charge: "13"},
		{Code: "009906000010000-990100006", Name: "CT平扫", Spec: "部位", Class: "02", SelfPay: ratio(2000), Cap: money.Decimal{Coef: 24000, Scale: 2}, List: "201", Charge: "03"},
		{Code: "009907000010000-990100007", Name: "磁共振平扫", Spec: "部位", Class: "02", SelfPay: ratio(2000), Cap: money.Decimal{Coef: 48000, Scale: 2}, List: "201", Charge: "03"},
		{Code: "009908000010000-990100008", Name: "彩色多普勒超声检查", Spec: "部位", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 12000, Scale: 2}, List: "201", Charge: "03"},
		{Code: "009909000010000-990100009", Name: "心电图检查", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 2000, Scale: 2}, List: "201", Charge: "03"},
		{Code: "009910000010000-990100010", Name: "血常规", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 1800, Scale: 2}, List: "201", Charge: "04"},
		{Code: "009911000010000-990100011", Name: "肝功能", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 5500, Scale: 2}, List: "201", Charge: "04"},
		{Code: "009912000010000-990100012", Name: "糖化血红蛋白测定", Spec: "次", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 6000, Scale: 2}, List: "201", Charge: "04"},
		{Code: "009913000010000-990100013", Name: "静脉输液", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 800, Scale: 2}, List: "201", Charge: "05"},
		{Code: "009914000010000-990100014", Name: "血液透析", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 40000, Scale: 2}, List: "201", Charge: "05"},
		{Code: "009915000010000-990100015", Name: "针刺治疗", Spec: "次", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 2800, Scale: 2}, List: "201", Charge: "05"},
		{Code: "009916000010000-990100016", Name: "清创缝合", Spec: "次", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 9600, Scale: 2}, List: "201", Charge: "06"},
		{Code: "009917000010000-990100017", Name: "体检套餐", Spec: "次", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "201", Charge: "14"},
		// materials
		{Code: "C9901010010000999001", Name: "一次性输液器", Spec: "支", Class: "01", SelfPay: ratio(0), Cap: money.Decimal{Coef: 235, Scale: 2}, List: "301", Charge: "08"},
		{Code: "C9901010010000999002", Name: "留置针", Spec: "支", Class: "02", SelfPay: ratio(2000), Cap: money.Decimal{Coef: 2500, Scale: 2}, List: "301", Charge: "08"},
		{Code: "C9901010010000999003", Name: "透析器", Spec: "支", Class: "02", SelfPay: ratio(1000), Cap: money.Decimal{Coef: 16000, Scale: 2}, List: "301", Charge: "08"},
		{Code: "C9901010010000999004", Name: "进口敷料", Spec: "片", Class: "03", SelfPay: ratio(10000), Cap: money.Decimal{}, List: "301", Charge: "08"},
	}
}
