package rest

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"yiqiao/adapters/his/bind"
	"yiqiao/gateway"
)

// Handler is the interface as an http.Handler. It starts nothing and holds no connection; time
// limits of connections belong to the http.Server around it.
type Handler struct {
	o      Options
	engine *gin.Engine
	posts  chan struct{} // places for POSTs
	gets   chan struct{} // places for GETs: asking goes on when every POST waits for the centre
	people chan struct{} // places for calls of people: who signs in is nobody yet, and keeps no HIS system waiting

	transact *bind.Binder[gateway.Transact]
	opening  *bind.Binder[gateway.OpenSettlement]
	confirm  *bind.Binder[gateway.ConfirmSettlement]
	refund   *bind.Binder[gateway.RefundSettlement]
	stay     wardBinders
	invoice  invoiceBinders
	cases    caseBinders
	review   reviewBinders
	session  sessionBinders
	delivery *bind.Binder[gateway.DeliveryOrder]
	paper    paperBinders
}

// Rules of the desk's structs that their tags do not say.
var (
	operatorOptional = []string{"Operator.type"} // default 1, a clerk
	operatorText     = map[string]int{"Operator.id": 30, "Operator.name": 50, "Operator.type": 3}
)

// New makes the handler. gin's release mode is set for the process: its debug mode prints.
func New(o Options) (*Handler, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	h := &Handler{o: o, posts: make(chan struct{}, o.MaxConcurrent), gets: make(chan struct{}, o.MaxConcurrent),
		people: make(chan struct{}, o.MaxConcurrent)}
	if err := h.bindings(); err != nil {
		return nil, err
	}
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	if err := e.SetTrustedProxies(nil); err != nil {
		return nil, err
	}
	e.ForwardedByClientIP = false
	e.RedirectTrailingSlash = false
	e.RedirectFixedPath = false
	e.HandleMethodNotAllowed = true
	e.NoRoute(h.serve(noRoute))
	e.NoMethod(h.serve(noMethod))

	e.GET("/", h.serve(h.index))
	e.GET("/healthz", h.serve(h.health))
	e.GET("/openapi.json", h.serve(h.description))

	api := e.Group("/api/v1")
	api.GET("/errors", h.serve(h.errorTable))
	api.POST("/sessions", h.serve(h.postSession))
	api.GET("/sessions/current", h.serve(h.among(h.people, h.getSession)))
	api.DELETE("/sessions/current", h.serve(h.among(h.people, h.deleteSession)))
	api.POST("/sessions/current/password", h.serve(h.postPassword))
	api.GET("/operations/journal", h.serve(h.byPerson(gateway.ActJournalRead, h.getJournal)))
	api.GET("/operations/uploads", h.serve(h.byPerson(gateway.ActUploadRead, h.getUploads)))
	api.GET("/operations/people", h.serve(h.byPerson(gateway.ActPeopleRead, h.getPeople)))
	api.GET("/operations/deliveries", h.serve(h.byPerson(gateway.ActDeliveryRead, h.getDeliveries)))
	for _, do := range []string{gateway.DeliveryRetry, gateway.DeliverySkip, gateway.DeliveryPause, gateway.DeliveryResume} {
		api.POST("/operations/deliveries/:id/"+do, h.serve(h.byPerson(gateway.ActDeliveryManage, h.postDelivery(do))))
	}
	api.GET("/operations/audit", h.serve(h.byPerson(gateway.ActAuditRead, h.getAudit)))
	// The number of a transaction is called id too: in OpenAPI both are one path.
	api.POST("/transactions/:id", h.guarded(h.postTransaction))
	api.GET("/transactions/:id", h.guarded(h.getTransaction))
	api.POST("/uploads/:infno", h.guarded(h.postUpload))
	api.POST("/settlements", h.guarded(h.postSettlement))
	api.POST("/settlements/:id/confirm", h.guarded(h.postConfirm))
	api.POST("/settlements/:id/refund", h.guarded(h.postRefund))
	api.GET("/settlements/:id", h.guarded(h.getSettlement))
	api.POST("/stays", h.guarded(h.postStay))
	api.POST("/stays/:id/fees", h.guarded(h.postCharge))
	api.POST("/stays/:id/change", h.guarded(h.postStayChange))
	api.POST("/stays/:id/discharge", h.guarded(h.postDischarge))
	api.POST("/stays/:id/settle", h.guarded(h.postStaySettle))
	api.POST("/stays/:id/refund", h.guarded(h.postStayRefund))
	api.GET("/stays/:id", h.guarded(h.getStay))
	api.POST("/pharmacy-sales", h.guarded(h.postSale))
	api.POST("/pharmacy-sales/:id/confirm", h.guarded(h.postSaleConfirm))
	api.POST("/pharmacy-sales/:id/refund", h.guarded(h.postSaleRefund))
	api.GET("/pharmacy-sales/:id", h.guarded(h.getSale))
	api.POST("/filings", h.guarded(h.postFiling))
	api.POST("/filings/:id/withdraw", h.guarded(h.postWithdraw))
	api.GET("/filings/:id", h.guarded(h.getFiling))
	api.GET("/reviews", h.serve(h.guardedOrPerson(gateway.ActReviewRead, h.getReviews)))
	api.POST("/reviews", h.serve(h.guardedOrPerson(gateway.ActReviewPropose, h.postReview)))
	api.GET("/reviews/:id", h.serve(h.guardedOrPerson(gateway.ActReviewRead, h.getReview)))
	api.POST("/reviews/:id/approve", h.serve(h.guardedOrPerson(gateway.ActReviewDecide, h.postReviewApprove)))
	// Who proposed may take back its own: the book asks for ActReviewDecide of everybody else.
	api.POST("/reviews/:id/reject", h.serve(h.guardedOrPerson(gateway.ActReviewPropose, h.postReviewReject)))
	api.GET("/settlements/:id/einvoices", h.guarded(h.getSettlementInvoices))
	api.POST("/einvoices", h.guarded(h.postInvoice))
	api.POST("/einvoices/:id/reverse", h.guarded(h.postInvoiceReverse))
	api.POST("/einvoices/:id/paper", h.guarded(h.postInvoicePaper))
	api.POST("/einvoices/:id/deliver", h.guarded(h.postInvoiceDeliver))
	api.GET("/einvoices/:id/paper", h.guarded(h.getInvoicePaper))
	api.GET("/einvoices/:id/voucher", h.guarded(h.getInvoiceVoucher))
	api.POST("/einvoices/:id/voucher", h.guarded(h.postInvoiceVoucher))
	api.POST("/einvoices/:id/file", h.guarded(h.postInvoiceFile))
	api.GET("/einvoice-papers", h.guarded(h.getPapers))
	api.POST("/einvoice-papers/void", h.guarded(h.postVoidPapers))
	api.GET("/einvoices/:id", h.guarded(h.getInvoice))
	h.engine = e
	return h, nil
}

// bindings prepares the structs. request_id may also come in a header, so it is optional here and
// looked after by identify.
func (h *Handler) bindings() (err error) {
	optional := func(names ...string) []string { return append(names, operatorOptional...) }
	if h.transact, err = bind.New[gateway.Transact](bind.Rules{
		Optional: optional("Transact.request_id"), MaxText: operatorText,
	}); err != nil {
		return err
	}
	if h.opening, err = bind.New[gateway.OpenSettlement](bind.Rules{
		Optional: optional("OpenSettlement.request_id", "OpenSettlement.use_account"), MaxText: operatorText,
		Decimal: []string{"OpenSettlement.total", "Fee.quantity", "Fee.price", "Fee.amount"},
	}); err != nil {
		return err
	}
	if h.confirm, err = bind.New[gateway.ConfirmSettlement](bind.Rules{
		Optional: optional("ConfirmSettlement.request_id"), MaxText: operatorText,
		Decimal: []string{"ConfirmSettlement.expect_cash"},
	}); err != nil {
		return err
	}
	if h.refund, err = bind.New[gateway.RefundSettlement](bind.Rules{
		Optional: optional("RefundSettlement.request_id"), MaxText: operatorText, Decimal: []string{"RowPart.quantity"},
	}); err != nil {
		return err
	}
	if h.stay, err = newWardBinders(); err != nil {
		return err
	}
	if h.cases, err = newCaseBinders(); err != nil {
		return err
	}
	if h.review, err = newReviewBinders(); err != nil {
		return err
	}
	if h.session, err = newSessionBinders(); err != nil {
		return err
	}
	if h.delivery, err = bind.New[gateway.DeliveryOrder](bind.Rules{Optional: []string{"DeliveryOrder.request_id"}, MaxText: map[string]int{"DeliveryOrder.delivery": 64, "DeliveryOrder.why": 200}}); err != nil {
		return err
	}
	if h.invoice, err = newInvoiceBinders(); err != nil {
		return err
	}
	h.paper, err = newPaperBinders()
	return err
}

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.engine.ServeHTTP(w, r) }

// step is the body of a route: it gives what to answer, and writes nothing itself.
type step func(*call) (answer, error)

// answer is a whole answer, ready to be written.
type answer struct {
	status   int
	kind     string // content type; default JSON
	location string
	body     []byte
}

// serve wraps a step: problems, panics, the audit hook, the answer, Told and the log line.
func (h *Handler) serve(f step) gin.HandlerFunc {
	return func(c *gin.Context) {
		k := h.begin(c)
		a, err := k.run(f)
		if err != nil {
			a = k.explain(err)
		}
		k.status = a.status
		if err != nil && a.status >= 400 {
			k.reportRefused()
		}
		if k.write(a) && k.tell != "" {
			k.reportTold()
		}
		k.log()
	}
}

// guarded is serve for HIS systems, while there is a place.
func (h *Handler) guarded(f step) gin.HandlerFunc { return h.serve(h.admitted(f)) }

func (h *Handler) admitted(f step) step {
	return func(k *call) (answer, error) {
		pass, err := k.authenticate()
		if err != nil {
			return answer{}, err
		}
		places := h.posts
		if k.method == http.MethodGet {
			places = h.gets
		}
		return h.among(places, func(k *call) (answer, error) {
			if err := pass.Enter(k.ctx(), k.c.Request); err != nil {
				return answer{}, err
			}
			return f(k)
		})(k)
	}
}

func noRoute(*call) (answer, error) {
	return answer{}, &gateway.Error{Code: gateway.CodeNotFound, Op: "rest"}
}

func noMethod(*call) (answer, error) {
	return answer{}, &gateway.Error{Code: gateway.CodeMethod, Op: "rest"}
}

// Routes lists what the handler serves, "METHOD /path/:param", sorted.
func (h *Handler) Routes() []string {
	var list []string
	for _, r := range h.engine.Routes() {
		list = append(list, r.Method+" "+r.Path)
	}
	slices.Sort(list)
	return list
}
