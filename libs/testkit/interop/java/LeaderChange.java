import io.grpc.ManagedChannel;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import tidemark.common.v1.Common.Outcome;
import tidemark.log.v1.Log.FetchPartition;
import tidemark.log.v1.Log.Format;
import tidemark.log.v1.Log.ProduceRequest;
import tidemark.log.v1.Log.ProduceResult;
import tidemark.log.v1.Log.Record;
import tidemark.log.v1.Log.SubscribeRequest;
import tidemark.log.v1.Log.SubscribeResponse;
import tidemark.log.v1.LogServiceGrpc;
import tidemark.log.v1.LogServiceGrpc.LogServiceBlockingStub;

/**
 * A leader is killed while it is read from. What was acknowledged is read to its end at the next one.
 *
 * <p>Prints "kill HOST:PORT" and "start HOST:PORT" where that is to happen to a broker, and waits for a line that says it
 * has.
 */
final class LeaderChange {
  /** Only there to end what would wait for ever. */
  private static final long SECONDS = 60;

  private final BufferedReader answers = new BufferedReader(new InputStreamReader(System.in));
  private final List<String> brokers;
  private final String topic;
  private final List<String> sent = new ArrayList<>();
  private final List<String> read = new ArrayList<>();

  LeaderChange(List<String> brokers, String topic) {
    this.brokers = brokers;
    this.topic = topic;
  }

  /** What a call to a broker failed with, and where that says the leader is: empty where it does not. */
  private record Failure(String endpoint, Status.Code code, String hint) {}

  /** An answer and who gave it. */
  private record Answered<T>(String endpoint, T answer) {}

  void follow() throws Exception {
    var leader = brokers.get(0);
    var leaderEpoch = 0;
    for (var number = 0; number < 10; number++) {
      var produced = produce(brokers, leader, "before " + number, new ArrayList<>());
      leader = produced.endpoint();
      leaderEpoch = produced.answer().getLeaderEpoch();
    }
    var former = leader;
    var channel = Story.open(former);
    var frames = subscribe(channel);
    readUntil(frames, sent.size());
    ask("kill", former);
    try {
      readUntil(frames, sent.size() + 1);
      throw new AssertionError("a stream outlived its broker");
    } catch (StatusRuntimeException error) {
      Story.check(error.getStatus().getCode() == Status.Code.UNAVAILABLE, error);
    }
    channel.shutdownNow();

    List<Failure> failures = new ArrayList<>();
    for (var number = 0; number < 10; number++) {
      var produced = produce(brokers, leader, "after " + number, failures);
      leader = produced.endpoint();
      Story.check(produced.answer().getLeaderEpoch() > leaderEpoch, produced);
    }
    // Nobody answers there any more, so there is no hint either.
    Story.check(failures.get(0).equals(new Failure(former, Status.Code.UNAVAILABLE, "")), failures);
    Story.check(!leader.equals(former), failures);
    var successor = Story.open(leader);
    readUntil(subscribe(successor), sent.size());
    successor.shutdownNow();
    Story.check(read.equals(sent), read);

    ask("start", former);
    // Those that follow say who leads: the third broker, and the former leader once it has heard of it.
    for (var follower : brokers) {
      if (follower.equals(leader)) continue;
      failures.clear();
      Story.check(produce(List.of(follower), follower, "hinted", failures).endpoint().equals(leader), failures);
      Story.check(failures.contains(new Failure(follower, Status.Code.FAILED_PRECONDITION, leader)), failures);
    }
  }

  private Answered<ProduceResult> produce(List<String> turns, String endpoint, String text, List<Failure> failures)
      throws Exception {
    var request = ProduceRequest.newBuilder()
        .setTopic(topic)
        .setPartition(0)
        .addRecords(Record.newBuilder().setText(text))
        .build();
    var answered = callLeader(turns, endpoint, failures, log -> log.produce(request).getResults(0));
    sent.add(text);
    return answered;
  }

  /** Goes on behind what was read. */
  private Iterator<SubscribeResponse> subscribe(ManagedChannel channel) {
    return LogServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(SECONDS, TimeUnit.SECONDS)
        .subscribe(SubscribeRequest.newBuilder()
            .setTopic(topic)
            .setFormat(Format.FORMAT_TEXT)
            .addPartitions(FetchPartition.newBuilder().setPartition(0).setOffset(read.size()))
            .build());
  }

  private void readUntil(Iterator<SubscribeResponse> frames, int count) {
    while (read.size() < count && frames.hasNext()) {
      for (var record : frames.next().getData().getRecordsList()) {
        Story.check(record.getOffset() == read.size(), record);
        read.add(record.getText());
      }
    }
    Story.check(read.size() >= count, read);
  }

  /** Calls at an endpoint, then where each failure's hint leads, or at the brokers in turn where there is none. */
  private static <T> Answered<T> callLeader(
      List<String> brokers, String endpoint, List<Failure> failures, Function<LogServiceBlockingStub, T> call)
      throws Exception {
    var until = System.nanoTime() + TimeUnit.SECONDS.toNanos(SECONDS);
    for (var turn = 0; ; turn++) {
      var channel = Story.open(endpoint);
      try {
        return new Answered<>(endpoint, call.apply(LogServiceGrpc.newBlockingStub(channel)));
      } catch (StatusRuntimeException error) {
        var hint = hintIn(error);
        failures.add(new Failure(endpoint, error.getStatus().getCode(), hint));
        if (System.nanoTime() > until) throw error;
        // An election takes a moment.
        if (hint.isEmpty()) Thread.sleep(100);
        endpoint = hint.isEmpty() ? brokers.get(turn % brokers.size()) : hint;
      } finally {
        channel.shutdownNow();
      }
    }
  }

  /** Where the leader is, as far as the failed call says it. A call that nobody answered has no details. */
  private static String hintIn(StatusRuntimeException error) throws Exception {
    if (StatusProto.fromThrowable(error).getDetailsCount() == 0) {
      Story.check(error.getStatus().getCode() == Status.Code.UNAVAILABLE, error);
      return "";
    }
    var detail = Story.detailOf(error);
    Story.check(detail.getRetriable() && detail.getOutcome() == Outcome.OUTCOME_NOT_APPLIED, detail);
    return detail.getLeader().getEndpoint();
  }

  private void ask(String wish, String endpoint) throws Exception {
    System.out.println(wish + " " + endpoint);
    System.out.flush();
    var answer = answers.readLine();
    Story.check("done".equals(answer), answer);
  }
}
