package centre

import (
	"strconv"

	"yiqiao/schemas/money"
)

// audit is 3101 and 3102: orders held against the rules of the insurance before or while they are given. One rule is there: what the
// insurance does not pay for (not in the catalogue, or wholly own pay) is named, so that the patient can be asked. Nothing is kept.
func (c *Centre) audit(k *call) (action, error) {
	patients := rows(node(k.in, "data"), "patient_dtos")
	if len(patients) == 0 {
		return action{}, refuse("缺少参保人信息：patient_dtos")
	}
	return action{run: func() (any, error) {
		result := []any{}
		for _, p := range patients {
			for _, visit := range rows(p, "fsi_encounter_dtos") {
				found := []any{}
				total := money.Fen(0)
				for _, order := range rows(visit, "fsi_order_dtos") {
					item, known := c.items.Lookup(text(order, "hilist_code"))
					if known && item.Class != "03" {
						continue
					}
					sum, err := money.Parse(text(order, "sumamt"))
					if err != nil {
						sum = 0
					}
					total += sum
					found = append(found, object{"jrd_id": strconv.Itoa(len(found) + 1), "patn_id": text(p, "patn_id"), "mdtrt_id": text(visit, "mdtrt_id"), "rx_id": text(order, "rx_id"),
						"vola_item_type": "1", "vola_amt": money.Number(sum)})
				}
				if len(found) > 0 {
					result = append(result, object{"jr_id": strconv.Itoa(len(result) + 1), "rule_id": "OWNPAY", "rule_name": "自费项目提示", "vola_cont": "医嘱含医保不支付的项目, 请告知患者",
						"patn_id": text(p, "patn_id"), "mdtrt_id": text(visit, "mdtrt_id"), "judge_result_detail_dtos": found, "vola_amt": money.Number(total), "vola_amt_stas": "1", "sev_deg": "1",
						"vola_evid": nil, "vola_bhvr_type": nil, "task_id": orNull(text(node(k.in, "data"), "task_id"))})
				}
			}
		}
		return object{"result": result}, nil
	}}, nil
}
