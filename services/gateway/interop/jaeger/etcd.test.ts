import { testStory } from "./test-story.ts";

testStory("etcd");
