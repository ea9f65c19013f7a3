package gatewaytest

import (
	"testing"

	"yiqiao/gateway"
	"yiqiao/schemas/ident"
)

// The scripted centre keeps the contract it stands in for.
func TestScriptedCentreKeepsTheContract(t *testing.T) {
	CentreSuite(t, func(t *testing.T, w *CentreWorld) gateway.Centre {
		done := func(id ident.MsgID) CentreAnswer {
			return Done(map[string]any{"setlinfo": map[string]any{"setl_id": "S-" + string(id)}})
		}
		c := NewCentre(func(_ ident.Infno, id ident.MsgID, _ any) CentreAnswer {
			switch w.Behaviour {
			case CentreDone:
				return done(id)
			case CentreHeld:
				<-w.Open
				return done(id)
			case CentreRefuses:
				return Refused(CentreRefusal)
			case CentreSilent:
				return Unknown(gateway.CauseTimeout)
			case CentreCuts:
				return Unknown(gateway.CauseCut)
			case CentreForged:
				return Unknown(gateway.CauseSignature)
			case CentreUnreachable:
				return CentreAnswer{Outcome: gateway.OutcomeRefused, Cause: gateway.CauseNotSent}
			}
			return Unknown(gateway.CauseNotInterface)
		})
		c.Clock, c.MaxInFlight = w.Clock, w.MaxInFlight
		c.Observe = func(call CentreCall) {
			if w.Behaviour != CentreUnreachable {
				w.Receive(call.Bytes)
			}
		}
		return c
	})
}
