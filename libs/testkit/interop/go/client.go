// Produces and fetches through stubs that protoc-gen-go and protoc-gen-go-grpc made from the project's protos.
//
// Usage: client GATEWAY TOPIC BROKER...    each as HOST:PORT
//
// Prints "kill HOST:PORT" and "start HOST:PORT" where that is to happen to a broker, and waits for a line that says it has.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	adminv1 "example.com/client/stubs/tidemark/admin/v1"
	commonv1 "example.com/client/stubs/tidemark/common/v1"
	logv1 "example.com/client/stubs/tidemark/log/v1"
)

const pastDoubles = 9007199254740993

func must[T any](value T, err error) T {
	check(err == nil, err)
	return value
}

func check(holds bool, told any) {
	if !holds {
		log.Panic(told)
	}
}

func dial(endpoint string) *grpc.ClientConn {
	return must(grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials())))
}

func text(value string) *logv1.Record {
	return &logv1.Record{ValueForm: &logv1.Record_Text{Text: value}}
}

func produceAndFetch(ctx context.Context, client logv1.LogServiceClient, topic string) {
	produced := must(client.Produce(ctx, &logv1.ProduceRequest{
		Topic:     topic,
		Partition: new(uint32),
		Records: []*logv1.Record{
			text("grün"),
			{
				KeyForm:   &logv1.Record_Key{Key: []byte{0, 255}},
				ValueForm: &logv1.Record_Value{Value: []byte{255, 0}},
			},
			{KeyForm: &logv1.Record_KeyText{KeyText: "gone"}},
		},
	}))
	check(produced.Results[0].BaseOffset != nil && *produced.Results[0].BaseOffset == 0, produced)
	request := &logv1.FetchRequest{Topic: topic, Format: logv1.Format_FORMAT_TEXT, MaxRecords: 2}
	var records []*logv1.FetchedRecord
	for range 2 {
		answer := must(client.Fetch(ctx, request))
		records = append(records, answer.Partitions[0].Records...)
		request = answer.Next
	}
	check(len(records) == 3, records)
	for at, record := range records {
		check(record.Offset == int64(at), records)
	}
	check(records[0].GetText() == "grün", records)
	check(bytes.Equal(records[1].GetKey(), []byte{0, 255}), records)
	check(bytes.Equal(records[1].GetValue(), []byte{255, 0}), records)
	check(records[2].ValueForm == nil, records)
}

// Follows the topic until it has everything, then further, as far as the credit goes.
func subscribe(ctx context.Context, client logv1.LogServiceClient, topic string) {
	frames := must(client.Subscribe(ctx, &logv1.SubscribeRequest{
		Topic: topic, Format: logv1.Format_FORMAT_TEXT, CreditRecords: 4,
	}))
	first := must(frames.Recv())
	check(len(first.GetAssigned().GetPartitions()) == 1, first)
	var offsets []int64
	for {
		frame, err := frames.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		check(err == nil, err)
		switch it := frame.Frame.(type) {
		case *logv1.SubscribeResponse_Data:
			for _, record := range it.Data.Records {
				offsets = append(offsets, record.Offset)
			}
		case *logv1.SubscribeResponse_CaughtUp:
			check(it.CaughtUp.HighWatermark == 3, frame)
			must(client.Produce(ctx, &logv1.ProduceRequest{Topic: topic, Records: []*logv1.Record{text("more")}}))
		}
	}
	check(slices.Equal(offsets, []int64{0, 1, 2, 3}), offsets)
}

// Asks every broker itself: who does not lead the partition says who does.
func followHint(ctx context.Context, brokers []string, topic string) {
	produce := func(broker string) (*logv1.ProduceResponse, error) {
		connection := dial(broker)
		defer connection.Close()
		return logv1.NewLogServiceClient(connection).Produce(ctx, &logv1.ProduceRequest{
			Topic: topic, Partition: new(uint32), Records: []*logv1.Record{text("direct")},
		})
	}
	var hints []string
	for _, broker := range brokers {
		if _, err := produce(broker); err != nil {
			detail := detailOf(err)
			check(detail.Reason == commonv1.Reason_REASON_NOT_LEADER, detail)
			hints = append(hints, detail.Leader.Endpoint)
		}
	}
	check(len(hints) == len(brokers)-1, hints)
	for _, hint := range hints {
		produced := must(produce(hint))
		check(produced.Results[0].GetBaseOffset() > 3, produced)
	}
}

func detailOf(err error) *commonv1.ErrorDetail {
	for _, each := range status.Convert(err).Details() {
		if detail, ok := each.(*commonv1.ErrorDetail); ok {
			return detail
		}
	}
	log.Panicf("no detail in %v", err)
	return nil
}

// What a call to a broker failed with, and where that says the leader is, if it does.
type failure struct {
	endpoint string
	code     codes.Code
	hint     string
}

// A topic whose leader is killed while it is read from.
type moving struct {
	brokers []string
	topic   string
	sent    []string
	read    []string
}

func (it *moving) produce(ctx context.Context, endpoint, value string, failures *[]failure) (string, *logv1.ProduceResult) {
	return callLeader(it.brokers, endpoint, failures, func(client logv1.LogServiceClient) (*logv1.ProduceResult, error) {
		answer, err := client.Produce(ctx, &logv1.ProduceRequest{
			Topic: it.topic, Partition: new(uint32), Records: []*logv1.Record{text(value)},
		})
		if err != nil {
			return nil, err
		}
		it.sent = append(it.sent, value)
		return answer.Results[0], nil
	})
}

// Goes on behind what was read.
func (it *moving) subscribe(ctx context.Context, connection *grpc.ClientConn) logv1.LogService_SubscribeClient {
	return must(logv1.NewLogServiceClient(connection).Subscribe(ctx, &logv1.SubscribeRequest{
		Topic: it.topic, Format: logv1.Format_FORMAT_TEXT,
		Partitions: []*logv1.FetchPartition{{Start: &logv1.FetchPartition_Offset{Offset: int64(len(it.read))}}},
	}))
}

func (it *moving) readUntil(frames logv1.LogService_SubscribeClient, count int) error {
	for len(it.read) < count {
		frame, err := frames.Recv()
		if err != nil {
			return err
		}
		for _, record := range frame.GetData().GetRecords() {
			check(record.Offset == int64(len(it.read)), record)
			it.read = append(it.read, record.GetText())
		}
	}
	return nil
}

// What was acknowledged by a leader that is killed is read to its end at the next one.
func followLeaderChange(ctx context.Context, it *moving) {
	leader, leaderEpoch := it.brokers[0], uint32(0)
	for at := range 10 {
		next, produced := it.produce(ctx, leader, fmt.Sprint("before ", at), nil)
		leader, leaderEpoch = next, produced.LeaderEpoch
	}
	former := leader
	connection := dial(former)
	defer connection.Close()
	frames := it.subscribe(ctx, connection)
	check(it.readUntil(frames, len(it.sent)) == nil, it.read)
	ask("kill", former)
	err := it.readUntil(frames, len(it.sent)+1)
	check(status.Code(err) == codes.Unavailable, err)

	var failures []failure
	for at := range 10 {
		next, produced := it.produce(ctx, leader, fmt.Sprint("after ", at), &failures)
		check(produced.LeaderEpoch > leaderEpoch, produced)
		leader = next
	}
	// Nobody answers there any more, so there is no hint either.
	check(failures[0] == failure{former, codes.Unavailable, ""}, failures)
	check(leader != former, failures)
	successor := dial(leader)
	defer successor.Close()
	err = it.readUntil(it.subscribe(ctx, successor), len(it.sent))
	check(err == nil && slices.Equal(it.read, it.sent), fmt.Sprint(err, it.read, it.sent))

	ask("start", former)
	// Those that follow say who leads: the third broker, and the former leader once it has heard of it.
	for _, follower := range it.brokers {
		if follower == leader {
			continue
		}
		failures = nil
		only := &moving{brokers: []string{follower}, topic: it.topic}
		next, _ := only.produce(ctx, follower, "hinted", &failures)
		check(next == leader, failures)
		check(slices.Contains(failures, failure{follower, codes.FailedPrecondition, leader}), failures)
	}
}

// Calls at an endpoint, then where each failure's hint leads, or at the brokers in turn where there is none.
func callLeader[T any](
	brokers []string, endpoint string, failures *[]failure, call func(logv1.LogServiceClient) (T, error),
) (string, T) {
	until := time.Now().Add(time.Minute)
	for turn := 0; ; turn++ {
		connection := dial(endpoint)
		answer, err := call(logv1.NewLogServiceClient(connection))
		connection.Close()
		if err == nil {
			return endpoint, answer
		}
		hint := hintIn(err)
		if failures != nil {
			*failures = append(*failures, failure{endpoint, status.Code(err), hint})
		}
		check(time.Now().Before(until), err)
		if endpoint = hint; hint == "" {
			// An election takes a moment.
			time.Sleep(100 * time.Millisecond)
			endpoint = brokers[turn%len(brokers)]
		}
	}
}

// Where the leader is, as far as the failed call says it. A call that nobody answered has no details.
func hintIn(err error) string {
	if len(status.Convert(err).Details()) == 0 {
		check(status.Code(err) == codes.Unavailable, err)
		return ""
	}
	detail := detailOf(err)
	check(detail.Retriable && detail.Outcome == commonv1.Outcome_OUTCOME_NOT_APPLIED, detail)
	return detail.GetLeader().GetEndpoint()
}

var answers = bufio.NewReader(os.Stdin)

func ask(wish, endpoint string) {
	fmt.Println(wish, endpoint)
	answer, err := answers.ReadString('\n')
	check(err == nil && answer == "done\n", answer)
}

func readTypedError(ctx context.Context, client logv1.LogServiceClient) {
	_, err := client.Produce(ctx, &logv1.ProduceRequest{Topic: "no-such-topic", Records: []*logv1.Record{text("x")}})
	detail := detailOf(err)
	check(detail.Reason == commonv1.Reason_REASON_UNKNOWN_TOPIC, detail)
	check(detail.Outcome == commonv1.Outcome_OUTCOME_NOT_APPLIED, detail)
}

func readPastDoubles(ctx context.Context, client logv1.LogServiceClient, topic string) {
	_, err := client.Fetch(ctx, &logv1.FetchRequest{
		Topic:      topic,
		Partitions: []*logv1.FetchPartition{{Start: &logv1.FetchPartition_Offset{Offset: pastDoubles}}},
	})
	check(strings.Contains(status.Convert(err).Message(), fmt.Sprint(pastDoubles)), err)
}

func main() {
	server, topic, brokers := os.Args[1], os.Args[2], os.Args[3:]
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	connection := dial(server)
	defer connection.Close()
	client := logv1.NewLogServiceClient(connection)
	admin := adminv1.NewAdminServiceClient(connection)
	create := func(name string, replicas int) {
		partitions, replicationFactor := uint32(1), uint32(replicas)
		must(admin.CreateTopic(ctx, &adminv1.CreateTopicRequest{
			Topic: name, Partitions: &partitions, ReplicationFactor: &replicationFactor,
		}))
	}
	create(topic, 1)
	produceAndFetch(ctx, client, topic)
	subscribe(ctx, client, topic)
	followHint(ctx, brokers, topic)
	readTypedError(ctx, client)
	readPastDoubles(ctx, client, topic)
	create(topic+"-moving", len(brokers))
	followLeaderChange(ctx, &moving{brokers: brokers, topic: topic + "-moving"})
	fmt.Println("ok")
}
