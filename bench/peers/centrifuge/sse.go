package main

import (
	"net/http"
	"sync"

	"github.com/centrifugal/centrifuge"
)

// eventSource serves Centrifuge's pushes as server-sent events, one direction only, as Centrifugo's own endpoint does.
type eventSource struct{ node *centrifuge.Node }

func (h *eventSource) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out := &transport{batches: make(chan [][]byte), written: make(chan struct{}), gone: make(chan struct{}), left: make(chan struct{})}
	client, end, err := centrifuge.NewClient(r.Context(), h.node, out)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer func() { _ = end() }()
	defer close(out.left)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusOK)
	client.Connect(centrifuge.ConnectRequest{Data: []byte(r.PathValue("topics"))})
	flush := http.NewResponseController(w).Flush
	for {
		select {
		case <-r.Context().Done():
			return
		case <-out.gone:
			return
		case batch := <-out.batches:
			for _, message := range batch {
				_, _ = w.Write([]byte("data: " + string(message) + "\n\n"))
			}
			_ = flush()
			select {
			case out.written <- struct{}{}:
			case <-r.Context().Done():
				return
			}
		}
	}
}

// transport hands Centrifuge's messages to the goroutine of the response.
type transport struct {
	batches    chan [][]byte
	written    chan struct{}
	gone, left chan struct{} // Centrifuge has closed it; the response has ended
	closing    sync.Once
}

func (t *transport) Name() string                                { return "uni_sse" }
func (t *transport) AcceptProtocol() string                      { return "h1" }
func (t *transport) Protocol() centrifuge.ProtocolType           { return centrifuge.ProtocolTypeJSON }
func (t *transport) ProtocolVersion() centrifuge.ProtocolVersion { return centrifuge.ProtocolVersion2 }
func (t *transport) Unidirectional() bool                        { return true }
func (t *transport) Emulation() bool                             { return false }
func (t *transport) DisabledPushFlags() uint64                   { return 0 }
func (t *transport) PingPongConfig() centrifuge.PingPongConfig   { return pings }
func (t *transport) Write(message []byte) error                  { return t.WriteMany(message) }

func (t *transport) WriteMany(messages ...[]byte) error {
	select {
	case t.batches <- messages:
	case <-t.left:
		return nil
	}
	select {
	case <-t.written:
	case <-t.left:
	}
	return nil
}

func (t *transport) Close(centrifuge.Disconnect) error {
	t.closing.Do(func() { close(t.gone) })
	return nil
}
