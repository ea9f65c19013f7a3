// Package regiontest is the suite every region's data passes.
package regiontest

import (
	"strings"
	"testing"

	"yiqiao/adapters/region"
	"yiqiao/gateway"
	"yiqiao/schemas/catalog"
)

// Suite checks one region's data: against the catalogue, and that its texts are not so wide that
// they recognise refusals which mean something else.
func Suite(t *testing.T, r *gateway.Region) {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	if err := region.Check(r, c); err != nil {
		t.Error(err)
	}
	for n, fields := range r.Relax {
		tx, ok := c.Lookup(n)
		for _, path := range fields {
			if ok && !required(tx, path) {
				t.Errorf("relax: %s %s is not required in the table", n, path)
			}
		}
	}
	if !r.SignIn && len(r.SignExpired) > 0 {
		t.Error("sign_expired is given, and there is no sign-in")
	}

	// What these mean has nothing to do with being absent, undone or signed out. Taking one of
	// them for absence would let a settlement be made twice.
	for _, msg := range []string{
		"系统异常", "系统繁忙，请稍后重试", "请求超时", "网络异常", "数据库连接失败", "接口调用失败",
		"未查询到人员信息", "参保信息为空", "基本信息为空", "人员暂停参保，不能享受医保待遇",
		"参保地医保区划不能为空", "未找到定点医药机构", "报文ID重复", "缺少必填项：data.psn_no", "无权限",
		"该批次已结算，请先撤销结算", "存在未撤销的费用明细或结算，不能撤销挂号", "个人账户余额不足，不能冲正",
		"签到操作员与报文头经办人不一致", "就诊凭证与人员不符", "结算失败", "撤销失败",
	} {
		unrecognised(t, "not_found", r.NotFound, msg)
		unrecognised(t, "sign_expired", r.SignExpired, msg)
		for n, texts := range r.NothingToUndo {
			unrecognised(t, "nothing_to_undo "+string(n), texts, msg)
		}
	}
	// An undo that is refused because of the sign-in has undone nothing, and the other way round.
	for _, msg := range []string{"未签到，请先签到", "签到已失效，请重新签到"} {
		unrecognised(t, "not_found", r.NotFound, msg)
		for n, texts := range r.NothingToUndo {
			unrecognised(t, "nothing_to_undo "+string(n), texts, msg)
		}
	}
	for _, msg := range []string{"该笔结算已撤销", "未查询到任何有效相关的记录", "费用明细List不能为空", "没有需要撤销的处方"} {
		unrecognised(t, "sign_expired", r.SignExpired, msg)
	}
}

func unrecognised(t *testing.T, key string, texts []string, msg string) {
	t.Helper()
	for _, s := range texts {
		if strings.Contains(msg, s) {
			t.Errorf("%s: %q is too wide, it recognises %q", key, s, msg)
		}
	}
}

// required reports whether the table wants a field, or a node, always.
func required(t *catalog.Transaction, path string) bool {
	for _, node := range t.Input {
		if node.Required == catalog.Always && (path == node.Name || path == node.Parent+"."+node.Name) {
			return true
		}
		for _, f := range node.Fields {
			if f.Required == catalog.Always && (path == node.Name+"."+f.Code || node.Name == "" && path == f.Code) {
				return true
			}
		}
	}
	return false
}
