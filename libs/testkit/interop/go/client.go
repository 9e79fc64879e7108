// Produces and fetches through stubs that protoc-gen-go and protoc-gen-go-grpc made from the project's protos.
//
// Usage: client GATEWAY TOPIC BROKER...    each as HOST:PORT
package main

import (
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
	one := uint32(1)
	must(adminv1.NewAdminServiceClient(connection).CreateTopic(ctx, &adminv1.CreateTopicRequest{
		Topic: topic, Partitions: &one, ReplicationFactor: &one,
	}))
	produceAndFetch(ctx, client, topic)
	subscribe(ctx, client, topic)
	followHint(ctx, brokers, topic)
	readTypedError(ctx, client)
	readPastDoubles(ctx, client, topic)
	fmt.Println("ok")
}
