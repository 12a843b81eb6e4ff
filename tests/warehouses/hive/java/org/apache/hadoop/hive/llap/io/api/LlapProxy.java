package org.apache.hadoop.hive.llap.io.api;

/** Stands in for a class that the jars lack. Hive asks it whether it runs in an LLAP daemon, which it does not. */
public final class LlapProxy {
  private LlapProxy() {}

  public static boolean isDaemon() {
    return false;
  }

  public static LlapIo getIo() {
    return null;
  }
}
