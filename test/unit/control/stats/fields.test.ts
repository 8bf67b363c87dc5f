/** The columns of `show stat`: names and places that tools rely on. */
import { describe, expect, test } from "bun:test";

import { STAT_CSV_HEADER } from "../../../../src/control/stats/dump.ts";
import { AT, STAT_COUNT, STAT_FIELDS } from "../../../../src/control/stats/fields.ts";
import { INFO_FIELDS } from "../../../../src/control/stats/info.ts";

/** Recorded from HAProxy 2.6.12, without what follows its column `-`. */
const HEADER_2_6 =
  "# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,eresp,wretr," +
  "wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,throttle," +
  "lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,hrsp_1xx," +
  "hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,req_tot," +
  "cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,qtime,ctime," +
  "rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,check_rise," +
  "check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,conn_rate," +
  "conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,cache_hits," +
  "srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,safe_conn_cur," +
  "used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status," +
  "agg_check_status,";

/** What newer versions have behind them (management manual 9.1, numbers 103 and up). */
const NEWER =
  "srid,sess_other,h1sess,h2sess,h3sess,req_other,h1req,h2req,h3req,proto,priv_idle_cur,reqbin," +
  "reqbout,resbin,resbout,cache_hint_hits,-,\n";

describe("columns", () => {
  test("are those of HAProxy 2.6, then the newer ones", () => {
    expect(STAT_CSV_HEADER).toBe(HEADER_2_6 + NEWER);
  });

  test("have places of their own", () => {
    expect(AT.pxname).toBe(0);
    expect(AT.agg_check_status).toBe(102);
    expect(new Set(STAT_FIELDS.map(({ name }) => name)).size).toBe(STAT_COUNT);
  });

  test("carry tags of the manual's letters", () => {
    for (const { tags } of [...STAT_FIELDS, ...INFO_FIELDS]) {
      expect(tags).toMatch(/^[MSKCP][AaCDGLMmNORT][CPSs][VP]$/);
    }
  });
});

describe("show info", () => {
  test("has each field once, and places that only grow", () => {
    expect(new Set(INFO_FIELDS.map(({ name }) => name)).size).toBe(INFO_FIELDS.length);
    const places = INFO_FIELDS.map(({ at }) => at);
    expect(places).toEqual(places.toSorted((a, b) => a - b));
    expect(new Set(places).size).toBe(places.length);
  });
});
