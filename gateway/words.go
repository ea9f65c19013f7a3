package gateway

// Codes of the gateway, in the order docs/errors.md lists them. Codes of single findings (field
// missing, too long ...) are in package check; they travel inside request-invalid.
const (
	CodeBodyTooLarge      Code = "body-too-large"
	CodeBodyNotJSON       Code = "body-not-json"       // syntax, trailing bytes, UTF-8, depth, numbers; Rule names the strictjson kind
	CodeBodyDuplicate     Code = "body-duplicate-name" // duplicate member names
	CodeMessage           Code = "message-unreadable"  // of other forms than JSON: frame, syntax, charset; Rule names what
	CodeRequestInvalid    Code = "request-invalid"     // Findings says what
	CodeRequestIDMissing  Code = "request-id-missing"
	CodeRequestIDReused   Code = "request-id-reused"
	CodeRequestInProgress Code = "request-in-progress"
	CodeInfnoUnknown      Code = "infno-unknown"
	CodeInfnoNotDescribed Code = "infno-not-described"
	CodeInfnoNotAllowed   Code = "infno-not-allowed" // not through this route
	CodeKeyMissing        Code = "api-key-missing"
	CodeKeyWrong          Code = "api-key-wrong"
	CodeInstitution       Code = "institution-unknown"
	CodeNotFound          Code = "not-found"
	CodeExpired           Code = "content-expired" // destroyed after its retention
	CodeMethod            Code = "method-not-allowed"
	CodeMediaType         Code = "media-type"
	CodeCredentialNeeded  Code = "credential-needed" // read the card or code again
	CodeState             Code = "state-conflict"    // the settlement is not in a state that allows this
	CodeAmounts           Code = "amounts-mismatch"
	CodeNotSupported      Code = "not-supported"
	CodeCentreRefused     Code = "centre-refused"
	CodeRestUnsettled     Code = "rest-unsettled" // partial refund: undone, but the rest was refused
	CodeOutcomeUnknown    Code = "outcome-unknown"
	CodeNeedsPerson       Code = "needs-person" // the outcome could not be found out: a person decides
	CodeCentreBusy        Code = "centre-busy"
	CodeCentreDown        Code = "centre-down"
	CodeCentreUnreachable Code = "centre-unreachable" // not sent
	CodeCentreNoAnswer    Code = "centre-no-answer"   // a query: nothing is open, it may be asked again
	CodeSignIn            Code = "sign-in-failed"
	CodeStorage           Code = "storage-unavailable"
	CodeRateLimited       Code = "rate-limited"
	CodeInvoiceRefused    Code = "invoice-refused"        // the e-invoice platform's own words are in Detail
	CodeInvoiceUnknown    Code = "invoice-unknown"        // no trustworthy answer of the platform yet
	CodeInvoiceDown       Code = "invoice-platform-down"  // nothing was sent
	CodeInvoicePosted     Code = "invoice-posted"         // handed in for reimbursement: can not be reversed
	CodeInvoiceUnmapped   Code = "invoice-unmapped"       // a charge category or way of paying without an entry in the tables
	CodeInvoicePaper      Code = "invoice-paper-mismatch" // not the next paper number
	CodeInvoiceNotSet     Code = "invoice-not-configured"
	CodeInvoiceIdentity   Code = "invoice-identity"     // an upload names a bill that is not the visit's
	CodeReviewTaken       Code = "review-taken"         // somebody else proposed or decided first; Detail says who
	CodeSecondPerson      Code = "second-person-needed" // who proposes does not approve
	CodeSignature         Code = "signature-refused"    // of a call: missing parts, wrong, or the body is another
	CodeSignatureStale    Code = "signature-stale"      // right, but the time in it is too far off
	CodeReplayed          Code = "call-replayed"        // right, but its nonce was used before
	CodeCertificate       Code = "certificate-refused"  // the client's certificate is nobody's, or out of its time
	CodeLoginRefused      Code = "login-refused"        // name or password wrong, account locked or disabled: never says which
	CodeSessionNeeded     Code = "session-needed"
	CodeNotPermitted      Code = "not-permitted" // Rule names the act
	CodePasswordChange    Code = "password-change-needed"
	CodePasswordRefused   Code = "password-refused" // Rule names what a password must be
	CodeLastAdministrator Code = "last-administrator"
	CodeInternal          Code = "internal"
)

// Codes gives the words of every code.
var Codes = map[Code]Words{
	CodeBodyTooLarge:      {"报文过大", "The body is too large.", "请分批发送, 每批不超过上限", "Send it in smaller parts.", OwnerHIS, 413},
	CodeBodyNotJSON:       {"报文不是规范的 JSON", "The body is not well-formed JSON.", "请检查编码 (UTF-8)、括号和数字写法", "Check the encoding (UTF-8), brackets and numbers.", OwnerHIS, 400},
	CodeBodyDuplicate:     {"报文中有重复的字段名", "A member name occurs twice.", "同一层每个字段只能出现一次", "Send each member once.", OwnerHIS, 400},
	CodeMessage:           {"报文无法解析", "The message can not be read.", "请按 rule 检查分隔、格式与字符集", "Check framing, form and character set as rule says.", OwnerHIS, 400},
	CodeRequestInvalid:    {"报文内容不符合接口规范", "The request does not meet the interface tables.", "请按 findings 逐项修改后用新的请求号重发", "Correct the fields in findings and send again under a new request id.", OwnerHIS, 422},
	CodeRequestIDMissing:  {"缺少请求号 request_id, 或格式不对", "The request id is missing or malformed.", "每次业务请使用唯一的请求号 (1-64 位字母、数字、-_.:)", "Give every business request a unique id.", OwnerHIS, 400},
	CodeRequestIDReused:   {"请求号已用于内容不同的请求", "This request id was used for another body.", "重发须与原报文完全一致; 新业务请用新的请求号", "Repeat the original body, or use a new id for new business.", OwnerHIS, 409},
	CodeRequestInProgress: {"相同请求正在处理", "The same request is being worked on.", "请稍后用同一请求号再查询", "Ask again with the same id a little later.", OwnerHIS, 409},
	CodeInfnoUnknown:      {"没有这个交易编号", "No such transaction number.", "请核对交易编号", "Check the transaction number.", OwnerHIS, 404},
	CodeInfnoNotDescribed: {"该交易尚无字段说明, 不能发送", "The fields of this transaction are not described.", "请由网关管理员提供该交易的字段表", "Ask the operator of the gateway to supply a table for it.", OwnerOperator, 422},
	CodeInfnoNotAllowed:   {"该交易不能从此入口发送", "This transaction can not be sent through this route.", "请使用提示的入口", "Use the route named in detail.", OwnerHIS, 422},
	CodeKeyMissing:        {"没有提供接入密钥", "No API key was given.", "请在请求头 Authorization: Bearer 中携带密钥", "Send the key in the Authorization header.", OwnerHIS, 401},
	CodeKeyWrong:          {"接入密钥不正确", "The API key is not valid.", "请向网关管理员核对密钥", "Check the key with the operator of the gateway.", OwnerHIS, 401},
	CodeInstitution:       {"该接入方无权代表此机构, 或机构未配置", "This system may not act for that institution, or it is not configured.", "请核对机构编号", "Check the institution code.", OwnerHIS, 403},
	CodeNotFound:          {"没有找到", "Not found.", "请核对编号", "Check the id.", OwnerHIS, 404},
	CodeExpired:           {"内容已超过保存期限并已销毁", "What it held was destroyed after its retention.", "交易记录仍在, 报文内容无法恢复", "The record is still there; its content can not be had any more.", OwnerOperator, 410},
	CodeMethod:            {"不支持的请求方法", "Method not allowed.", "请按接口说明调用", "See the interface description.", OwnerHIS, 405},
	CodeMediaType:         {"报文类型必须是 application/json", "The body must be application/json.", "请设置 Content-Type: application/json; charset=utf-8", "Set the content type.", OwnerHIS, 415},
	CodeCredentialNeeded:  {"需要重新读取就诊凭证", "The patient's credential must be read again.", "请重新刷卡或扫码后再提交", "Read the card or code again and resend with credential.", OwnerDesk, 428},
	CodeState:             {"当前状态不允许此操作", "The settlement is not in a state that allows this.", "请先查询结算状态", "Look at the settlement's state first.", OwnerHIS, 409},
	CodeAmounts:           {"金额不平", "The amounts do not add up.", "请核对明细与总额", "Check rows against the total.", OwnerHIS, 422},
	CodeNotSupported:      {"此功能尚未提供", "Not supported yet.", "见 docs", "See the documentation.", OwnerOperator, 501},
	CodeCentreRefused:     {"医保中心未受理", "The insurance centre refused.", "请按中心提示处理; 中心未执行本笔请求", "Follow the centre's message; this request was not carried out.", OwnerDesk, 422},
	CodeRestUnsettled:     {"原结算已撤销, 剩余明细未能重新结算", "The settlement was undone, but what is left could not be settled again.", "原结算款已退回; 请按中心提示处理后用同一请求号重发, 或整单退费", "The money is back. Follow the centre's message and send the same request again, or refund the whole bill.", OwnerDesk, 422},
	CodeOutcomeUnknown:    {"医保中心未给出可信答复, 结果待核实", "No trustworthy answer: the outcome is being found out.", "请勿重新结算; 网关正在查证, 请稍后用同一请求号查询", "Do not settle again; ask with the same id a little later.", OwnerOperator, 202},
	CodeNeedsPerson:       {"结果无法自动查清, 已转人工核实", "The outcome could not be found out by itself; a person has to.", "请勿重新结算; 由网关管理员会同医保经办核实并了结 (yiqiao journal list --state parked), 之后用同一请求号查询", "Do not settle again. The operator of the gateway finds out with the centre and ends it (yiqiao journal list --state parked); ask with the same id afterwards.", OwnerOperator, 202},
	CodeCentreBusy:        {"发往医保中心的请求过多", "Too many calls to the centre in flight.", "请稍后用同一请求号重试", "Try again with the same id a little later.", OwnerOperator, 503},
	CodeCentreDown:        {"医保中心暂不可用, 已暂停发送", "The centre is failing; sending is paused.", "请稍后用同一请求号重试", "Try again with the same id a little later.", OwnerCentre, 503},
	CodeCentreUnreachable: {"无法连接医保中心, 本笔未发出", "The centre can not be reached; nothing was sent.", "请检查专线; 可用同一请求号重试", "Check the line; the same id may be sent again.", OwnerOperator, 503},
	CodeCentreNoAnswer:    {"医保中心没有给出可用的答复; 本笔只是查询, 未改变任何数据", "The centre gave no usable answer to a query; nothing was changed.", "可用同一请求号重试", "Ask again; the same id may be used.", OwnerCentre, 503},
	CodeSignIn:            {"签到失败", "Sign-in at the centre failed.", "请核对经办人与机构配置", "Check operator and institution settings.", OwnerOperator, 502},
	CodeStorage:           {"网关存储不可用, 未受理", "The gateway can not store requests; nothing was accepted.", "请联系网关管理员; 恢复后可用同一请求号重试", "Tell the operator; the same id may be sent again later.", OwnerOperator, 503},
	CodeRateLimited:       {"请求过于频繁", "Too many requests.", "请稍后重试", "Slow down.", OwnerHIS, 429},
	CodeInvoiceRefused:    {"电子票据平台未受理", "The e-invoice platform refused.", "请按平台提示更正后重新申请; 平台未开具本票据", "Correct what the platform names and ask again; nothing was issued.", OwnerDesk, 422},
	CodeInvoiceUnknown:    {"电子票据平台未给出可信答复, 结果待核实", "No trustworthy answer of the e-invoice platform: the outcome is being found out.", "请勿另行开票; 网关正在查证, 请稍后查询该票据", "Do not issue another one; ask about this bill again later.", OwnerOperator, 503},
	CodeInvoiceDown:       {"电子票据平台暂不可用", "The e-invoice platform can not be reached.", "票据将在平台恢复后自动开具; 请稍后用同一请求号重试", "It goes on by itself when the platform is back; the same id may be sent again.", OwnerOperator, 503},
	CodeInvoicePosted:     {"票据已入账报销, 不能冲红", "The bill was handed in for reimbursement and can not be reversed.", "请患者先在报销单位撤销入账, 再办理退费", "The patient's payer must take the posting back first.", OwnerDesk, 409},
	CodeInvoiceUnmapped:   {"收费类别或支付方式没有票据对照", "A charge category or way of paying has no entry in the e-invoice tables.", "请由网关管理员在 einvoice 配置中补充对照后重试", "Add it to the einvoice tables of the configuration, then ask again.", OwnerOperator, 422},
	CodeInvoicePaper:      {"纸质票号与平台的下一号不一致", "The paper number is not the platform's next.", "请核对打印机中的票据; 平台的下一号见 detail", "Check the paper in the printer; the platform's next number is in detail.", OwnerDesk, 409},
	CodeInvoiceIdentity:   {"上传内容中的票据与电子票据台账不一致", "The bill that is named is not the one of this visit.", "请更正 path 所指的字段, 或留空由网关自动填写; 台账中的票据见 detail", "Correct the member, or leave it empty and the gateway fills it in; detail names the bill on record.", OwnerHIS, 422},
	CodeInvoiceNotSet:     {"未配置电子票据平台", "No e-invoice platform is configured.", "请由网关管理员配置 einvoice", "Configure einvoice.", OwnerOperator, 501},
	CodeReviewTaken:       {"该事项已有人先行处理", "Somebody else has acted on this item first.", "请查看该事项的最新状态再决定", "Look at how it stands now.", OwnerOperator, 409},
	CodeSecondPerson:      {"提出人不能自己批准", "Whoever proposes can not approve.", "请由另一人批准", "Let another person approve.", OwnerOperator, 403},
	CodeSignature:         {"请求签名不正确", "The signature of the call is not right.", "请按接口说明核对签名串、密钥与请求体摘要; 网关日志中有原因", "Check the signing text, the key and the digest of the body; the gateway's log has the cause.", OwnerHIS, 401},
	CodeSignatureStale:    {"请求时间与网关时间相差过大", "The time in the signature is too far from the gateway's.", "请校准接入系统的时钟, 并为每次请求重新签名", "Set the caller's clock and sign each call anew.", OwnerHIS, 401},
	CodeReplayed:          {"该签名请求已使用过", "This signed call was used before.", "每次请求 (含重发) 使用新的随机数并重新签名; 业务请求号不变", "Sign every call, also a repeat, with a new nonce; keep the request id.", OwnerHIS, 401},
	CodeCertificate:       {"客户端证书未登记或不在有效期", "The client certificate is nobody's here, or out of its time.", "请向网关管理员登记证书", "Have the certificate entered by the operator of the gateway.", OwnerHIS, 401},
	CodeLoginRefused:      {"用户名或口令不正确, 或账户已锁定、停用", "Wrong name or password, or the account is locked or disabled.", "请核对后重试; 多次失败后须稍候, 或请管理员解锁", "Try again with care; after several failures wait, or ask an administrator.", OwnerDesk, 401},
	CodeSessionNeeded:     {"未登录或登录已失效", "Not signed in, or no longer.", "请重新登录", "Sign in again.", OwnerDesk, 401},
	CodeNotPermitted:      {"您的角色无权进行此操作", "Your role does not allow this.", "请由有权限的人员办理, 或请管理员调整角色", "Ask somebody who may, or an administrator.", OwnerDesk, 403},
	CodePasswordChange:    {"请先修改初始口令", "The given password has to be changed first.", "修改口令后重试", "Change the password, then try again.", OwnerDesk, 403},
	CodePasswordRefused:   {"新口令不符合要求", "The new password will not do.", "请按 rule 更换口令", "Choose another as rule says.", OwnerDesk, 422},
	CodeLastAdministrator: {"这是最后一位可用的管理员", "This is the last administrator.", "请先增设另一位管理员", "Make another administrator first.", OwnerOperator, 409},
	CodeInternal:          {"网关内部错误", "Internal error.", "请把编号告知网关管理员", "Give the reference to the operator.", OwnerOperator, 500},
}
