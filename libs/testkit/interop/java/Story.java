import com.google.protobuf.ByteString;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.util.ArrayList;
import java.util.List;
import tidemark.admin.v1.Admin.CreateTopicRequest;
import tidemark.admin.v1.AdminServiceGrpc;
import tidemark.common.v1.Common.ErrorDetail;
import tidemark.common.v1.Common.Outcome;
import tidemark.common.v1.Common.Reason;
import tidemark.log.v1.Log.FetchPartition;
import tidemark.log.v1.Log.FetchRequest;
import tidemark.log.v1.Log.FetchedRecord;
import tidemark.log.v1.Log.Format;
import tidemark.log.v1.Log.ProduceRequest;
import tidemark.log.v1.Log.ProduceResponse;
import tidemark.log.v1.Log.Record;
import tidemark.log.v1.Log.SubscribeRequest;
import tidemark.log.v1.LogServiceGrpc;
import tidemark.log.v1.LogServiceGrpc.LogServiceBlockingStub;

/**
 * Produces and fetches through stubs that protoc and the plugin of gRPC for Java made from the project's protos.
 *
 * <p>Usage: Story GATEWAY TOPIC BROKER... each as HOST:PORT
 *
 * <p>What happens to brokers meanwhile is asked for by LeaderChange.
 */
public final class Story {
  private static final long PAST_DOUBLES = 9007199254740993L;

  static void check(boolean holds, Object told) {
    if (!holds) throw new AssertionError(told);
  }

  static ManagedChannel open(String endpoint) {
    return Grpc.newChannelBuilder(endpoint, InsecureChannelCredentials.create()).build();
  }

  private static ByteString bytes(int... values) {
    var out = ByteString.newOutput();
    for (var value : values) out.write(value);
    return out.toByteString();
  }

  private static void produceAndFetch(LogServiceBlockingStub log, String topic) {
    var produced = log.produce(ProduceRequest.newBuilder()
        .setTopic(topic)
        .setPartition(0)
        .addRecords(Record.newBuilder().setText("grün"))
        .addRecords(Record.newBuilder().setKey(bytes(0, 255)).setValue(bytes(255, 0)))
        .addRecords(Record.newBuilder().setKeyText("gone"))
        .build());
    check(produced.getResults(0).hasBaseOffset() && produced.getResults(0).getBaseOffset() == 0, produced);
    var request = FetchRequest.newBuilder().setTopic(topic).setFormat(Format.FORMAT_TEXT).setMaxRecords(2).build();
    List<FetchedRecord> records = new ArrayList<>();
    for (var time = 0; time < 2; time++) {
      var answer = log.fetch(request);
      records.addAll(answer.getPartitions(0).getRecordsList());
      request = answer.getNext();
    }
    check(records.stream().map(FetchedRecord::getOffset).toList().equals(List.of(0L, 1L, 2L)), records);
    check(records.get(0).getText().equals("grün"), records);
    check(records.get(1).getKey().equals(bytes(0, 255)) && records.get(1).getValue().equals(bytes(255, 0)), records);
    check(records.get(2).getValueFormCase() == FetchedRecord.ValueFormCase.VALUEFORM_NOT_SET, records);
  }

  /** Follows the topic until it has everything, then further, as far as the credit goes. */
  private static void subscribe(LogServiceBlockingStub log, String topic) {
    var frames = log.subscribe(SubscribeRequest.newBuilder()
        .setTopic(topic)
        .setFormat(Format.FORMAT_TEXT)
        .setCreditRecords(4)
        .build());
    var first = frames.next();
    check(first.getAssigned().getPartitionsCount() == 1, first);
    List<Long> offsets = new ArrayList<>();
    while (frames.hasNext()) {
      var frame = frames.next();
      for (var record : frame.getData().getRecordsList()) offsets.add(record.getOffset());
      if (frame.hasCaughtUp()) {
        check(frame.getCaughtUp().getHighWatermark() == 3, frame);
        log.produce(ProduceRequest.newBuilder().setTopic(topic).addRecords(Record.newBuilder().setText("more")).build());
      }
    }
    check(offsets.equals(List.of(0L, 1L, 2L, 3L)), offsets);
  }

  private static ProduceResponse produceAt(String broker, String topic) {
    var channel = open(broker);
    try {
      var record = Record.newBuilder().setText("direct");
      return LogServiceGrpc.newBlockingStub(channel)
          .produce(ProduceRequest.newBuilder().setTopic(topic).setPartition(0).addRecords(record).build());
    } finally {
      channel.shutdownNow();
    }
  }

  /** Asks every broker itself: who does not lead the partition says who does. */
  private static void followHint(List<String> brokers, String topic) throws Exception {
    List<String> hints = new ArrayList<>();
    for (var broker : brokers) {
      try {
        produceAt(broker, topic);
      } catch (StatusRuntimeException error) {
        var detail = detailOf(error);
        check(detail.getReason() == Reason.REASON_NOT_LEADER, detail);
        hints.add(detail.getLeader().getEndpoint());
      }
    }
    check(hints.size() == brokers.size() - 1, hints);
    for (var hint : hints) {
      var produced = produceAt(hint, topic);
      check(produced.getResults(0).getBaseOffset() > 3, produced);
    }
  }

  static ErrorDetail detailOf(StatusRuntimeException error) throws Exception {
    for (var detail : StatusProto.fromThrowable(error).getDetailsList()) {
      if (detail.is(ErrorDetail.class)) return detail.unpack(ErrorDetail.class);
    }
    throw new AssertionError("no detail in " + error);
  }

  private static StatusRuntimeException failureOf(Runnable call) {
    try {
      call.run();
    } catch (StatusRuntimeException error) {
      return error;
    }
    throw new AssertionError("a call that cannot succeed was not refused");
  }

  private static void readTypedError(LogServiceBlockingStub log) throws Exception {
    var request = ProduceRequest.newBuilder().setTopic("no-such-topic").addRecords(Record.newBuilder().setText("x"));
    var detail = detailOf(failureOf(() -> log.produce(request.build())));
    check(detail.getReason() == Reason.REASON_UNKNOWN_TOPIC, detail);
    check(detail.getOutcome() == Outcome.OUTCOME_NOT_APPLIED, detail);
  }

  private static void readPastDoubles(LogServiceBlockingStub log, String topic) {
    var request = FetchRequest.newBuilder()
        .setTopic(topic)
        .addPartitions(FetchPartition.newBuilder().setPartition(0).setOffset(PAST_DOUBLES));
    var told = failureOf(() -> log.fetch(request.build())).getStatus().getDescription();
    check(told != null && told.contains(String.valueOf(PAST_DOUBLES)), told);
  }

  private static void createTopic(ManagedChannel channel, String topic, int replicas) {
    AdminServiceGrpc.newBlockingStub(channel)
        .createTopic(
            CreateTopicRequest.newBuilder().setTopic(topic).setPartitions(1).setReplicationFactor(replicas).build());
  }

  public static void main(String[] args) throws Exception {
    var topic = args[1];
    var brokers = List.of(args).subList(2, args.length);
    var channel = open(args[0]);
    createTopic(channel, topic, 1);
    var log = LogServiceGrpc.newBlockingStub(channel);
    produceAndFetch(log, topic);
    subscribe(log, topic);
    followHint(brokers, topic);
    readTypedError(log);
    readPastDoubles(log, topic);
    createTopic(channel, topic + "-moving", brokers.size());
    new LeaderChange(brokers, topic + "-moving").follow();
    channel.shutdownNow();
    System.out.println("ok");
  }
}
