// Centrifuge, the library of Centrifugo, as a server of job states: unidirectional SSE and WebSocket.
//
//	GET /events/TOPICS  SSE of topics, separated by commas; each one's newest state comes first
//	GET /ws             WebSocket, Centrifuge's own JSON protocol; a subscribe is answered with the newest state
//	POST /publish/TOPIC the body goes to everybody on the topic, and is kept as its newest state
//
// With HOOKCAST_TOKEN_SECRET, a stream needs `?token=`, a JWT (HS256) that names the topic in `jobs`, as Hookcast's do.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"
)

const keep = time.Hour // how long a topic's newest state is kept

var pings = centrifuge.PingPongConfig{PingInterval: 15 * time.Second, PongTimeout: -1} // as often as Hookcast's

var subscription = centrifuge.SubscribeOptions{
	EnableRecovery: true, RecoveryMode: centrifuge.RecoveryModeCache, AutoCacheRecover: true,
}

type claimsKey struct{}

func main() {
	raiseOpenFiles()
	node, err := centrifuge.New(centrifuge.Config{LogLevel: centrifuge.LogLevelError, LogHandler: logEntry})
	check(err)
	node.OnConnecting(connecting)
	node.OnConnect(func(client *centrifuge.Client) {
		client.OnSubscribe(func(event centrifuge.SubscribeEvent, reply centrifuge.SubscribeCallback) {
			if !shows(client.Context(), event.Channel) {
				reply(centrifuge.SubscribeReply{}, centrifuge.ErrorPermissionDenied)
				return
			}
			reply(centrifuge.SubscribeReply{Options: subscription}, nil)
		})
	})
	check(node.Run())
	socket := centrifuge.NewWebsocketHandler(node, centrifuge.WebsocketConfig{PingPongConfig: pings})
	routes := http.NewServeMux()
	routes.Handle("GET /events/{topics}", authorised(&eventSource{node}))
	routes.Handle("GET /ws", authorised(socket))
	routes.HandleFunc("POST /publish/{topic}", func(w http.ResponseWriter, r *http.Request) { publish(node, w, r) })
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	check(err)
	check(http.Serve(listener, routes))
}

// A stream of events names its topics in its path; a WebSocket subscribes by itself.
func connecting(ctx context.Context, event centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
	reply := centrifuge.ConnectReply{Credentials: &centrifuge.Credentials{}}
	if len(event.Data) == 0 {
		return reply, nil
	}
	reply.Subscriptions = map[string]centrifuge.SubscribeOptions{}
	for topic := range strings.SplitSeq(string(event.Data), ",") {
		if !shows(ctx, topic) {
			return reply, centrifuge.ErrorPermissionDenied
		}
		reply.Subscriptions[topic] = subscription
	}
	return reply, nil
}

func authorised(next http.Handler) http.Handler {
	secret := []byte(os.Getenv("HOOKCAST_TOKEN_SECRET"))
	if len(secret) == 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		found, err := readToken(r.URL.Query().Get("token"), secret, time.Now())
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, found)))
	})
}

func shows(ctx context.Context, topic string) bool {
	found, limited := ctx.Value(claimsKey{}).(claims)
	return !limited || slices.Contains(found.Jobs, topic)
}

func publish(node *centrifuge.Node, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, err = node.Publish(r.PathValue("topic"), body, centrifuge.WithHistory(1, keep))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Length", "0")
	w.WriteHeader(http.StatusAccepted)
}

func raiseOpenFiles() {
	var limit syscall.Rlimit
	check(syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	limit.Cur = limit.Max
	check(syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
}

func logEntry(entry centrifuge.LogEntry) { log.Println(entry.Message, entry.Fields) }

func check(err error) {
	if err != nil && !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
