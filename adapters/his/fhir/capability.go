package fhir

// capability is the CapabilityStatement. It promises what is there and nothing else.
func (h *Handler) capability() any {
	var resources []obj
	for _, f := range first {
		r := obj{"type": f.name, "documentation": "在 Bundle 中提交, 不存储, 不可查询 / handed in within a Bundle; not stored, not to be read back"}
		if f.name == "Claim" {
			r["operation"] = []obj{{"name": "submit", "definition": "http://hl7.org/fhir/OperationDefinition/Claim-submit",
				"documentation": "预结算 (use=predetermination)、结算 (use=claim)、撤销 (status=cancelled)"}}
		}
		resources = append(resources, r)
	}
	return obj{
		"resourceType": "CapabilityStatement", "status": "active", "date": "2026-11-23", "kind": "capability", "name": "YiqiaoHIS",
		"title": "医桥 HIS 接口 (FHIR R4)", "fhirVersion": "4.0.1", "format": []string{"application/fhir+json", "json"},
		"software": obj{"name": "Yiqiao 医桥"},
		"description": "未知的 modifierExtension、implicitRules、资源类型一律拒绝并指明; 结果未知时 ClaimResponse.outcome 为 queued, 原样重发即为询问。" +
			" Unknown modifier extensions, implicit rules and resource types are refused by name; while an outcome is not known it is queued, and the same document again asks.",
		"messaging": []obj{{"documentation": "POST $process-message, Bundle.type=message"}},
		"rest": []obj{{"mode": "server", "resource": resources, "interaction": []obj{{"code": "transaction"}},
			"security":  obj{"description": "Authorization: Bearer KEY, 或 X-API-Key"},
			"operation": []obj{{"name": "process-message", "definition": "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message"}}}},
	}
}
